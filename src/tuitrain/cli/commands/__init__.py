"""One module per command: its arguments, its help, and what it prints.

The rooms below are imported in the functions, since `--help` and completion need only the arguments.
"""
