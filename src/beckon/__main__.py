"""``python -m beckon``."""

from beckon.cli import main

main()
