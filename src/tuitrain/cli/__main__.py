"""`python -m tuitrain.cli` is `tuitrain`."""

from tuitrain.cli import main

main()
