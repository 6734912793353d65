"""``python -m meshnode`` is ``meshnode``."""

from meshnode.cli.main import main

main(prog_name="meshnode")
