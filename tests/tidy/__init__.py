"""The habits of the house as tests: layers, sizes, docstrings, public surface, links, supply.

Each rule is a pure function from one file's text to findings. Beside every rule stands a tiny bad sample that it must
catch, so that no rule can rot into one that is always content.
"""
