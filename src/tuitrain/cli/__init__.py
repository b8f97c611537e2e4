"""The command line."""

from __future__ import annotations

import os
import sys
import warnings


def main() -> None:
    """Entry point of `tuitrain`: run a command, and report an error as one sentence and an exit code."""
    _open_closed_streams()
    # Imports may open files, and come after the streams.
    from tuitrain.cli.app import command_line
    from tuitrain.text import guard_output

    guard_output()
    # A log may have any number; one that overflows is shown as infinite.
    warnings.simplefilter("ignore", RuntimeWarning)
    try:
        if os.environ.get("_TUITRAIN_COMPLETE") == "complete_bash":
            from tuitrain.cli.completion import complete_in_bash

            return complete_in_bash(lambda: command_line()(prog_name="tuitrain"))
        code = command_line()(prog_name="tuitrain", standalone_mode=False)
        # Here an error, as of a full disk, is reported; at the exit of the interpreter it would not be.
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the pipe has ended, as with `| head`.
        _drop_output()
        sys.exit(1)
    except Exception as error:
        from tuitrain.cli.errors import explain

        failure = explain(error)
        if failure is None:
            raise
        sys.stderr.write(failure.message)
        if isinstance(error, OSError) and error.filename is None:
            # An error of standard output, which would fail again at the exit.
            _drop_output()
        sys.exit(failure.exit_code)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Open closed standard streams, as after `>&-`, on the null device; the next file opened would replace them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
            setattr(sys, name, os.fdopen(null, mode))


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
