"""The command line. Modules here import what a command needs inside of it, so that `--help` stays quick."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point of `tuitrain`: run a command, and turn what goes wrong into one sentence and an exit code."""
    from tuitrain.cli.app import command_line
    from tuitrain.events.text import guard_output

    guard_output()
    try:
        command_line(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="tuitrain")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone, as with `| head`: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from tuitrain.cli.errors import explain

        told = explain(error)
        if told is None:
            raise
        print(f"tuitrain: {told.message}", file=sys.stderr)
        sys.exit(told.exit_code)
