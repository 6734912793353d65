"""The online arousal estimator: small pure machines (beats, electrodermal, contact, baseline) composed in ``arousal``.

The method card is ``docs/method.md``; its method id on the wire is 1, ``hr-scl-z/1``.
"""
