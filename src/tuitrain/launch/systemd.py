"""Units with which the systemd of a user keeps processes of tuitrain running, also where nobody logs in."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

CHECK_UNIT, QUEUE_UNIT = "tuitrain-check.service", "tuitrain-queue.service"


def check_unit(command: Sequence[str], directory: Path) -> str:
    """The unit of a watcher of runs, a command that is run in a directory."""
    return _unit(
        CHECK_UNIT, "Alerts of training runs (tuitrain check --follow)", command, directory,
        environment_file="check.env", secret='TUITRAIN_NOTIFY="ntfy://topic"',
    )  # fmt: skip


def queue_unit(runs_dir: Path) -> str:
    """The unit that goes on with a queue at boot, with the line of a crontab that does the same."""
    again = [sys.executable, "-m", "tuitrain.cli", "queue", "--runs-dir", str(runs_dir)]
    # In a crontab a per cent sign ends the command.
    line = f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(again)}".replace("%", r"\%")
    return f"# Without systemd, a line for `crontab -e`:\n#   @reboot {line}\n" + _unit(
        QUEUE_UNIT, f"Queue of training runs in {runs_dir}",
        [sys.executable, "-m", "tuitrain.launch.queue_runner", str(runs_dir)], Path.cwd(),
        environment_file="queue.env", secret='HF_TOKEN="…"',
        # The runs that it started outlive it; one that is killed for want of memory ends no other.
        more="KillMode=process\nOOMPolicy=continue\n",
    )  # fmt: skip


def _unit(
    name: str,
    description: str,
    command: Sequence[str],
    directory: Path,
    *,
    environment_file: str,
    secret: str,
    more: str = "",
) -> str:
    """A unit of the user's systemd, which begins after the system's file systems and knows none of its targets.

    secret: an example of what its environment file may hold.
    """
    variables = "".join(
        f"Environment={_quoted(f'{key}={value}', always=True)}\n"
        for key, value in sorted(os.environ.items())
        if key in ("TUITRAIN_CACHE_DIR", "TUITRAIN_CONFIG_DIR", "TUITRAIN_STATE_DIR")
    )
    return f"""# systemctl --user edit --force --full {name}, paste this, then: systemctl --user enable --now {name}
# Without a session it runs on after: loginctl enable-linger
[Unit]
Description={description.replace("%", "%%")}

[Service]
ExecStart={" ".join(map(_quoted, command))}
WorkingDirectory={str(directory).replace("%", "%%")}
{variables}# Secrets stand there, such as {secret}; its mode should be 600.
EnvironmentFile=-%h/.config/tuitrain/{environment_file}
Restart=on-failure
RestartSec=30
{more}
[Install]
WantedBy=default.target
"""


def _quoted(word: str, always: bool = False) -> str:
    """A word as systemd reads it: in quotes where needed, without specifiers and variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    # Only in a command line it stands for a variable.
    escaped = escaped if always else escaped.replace("$", "$$")
    return f'"{escaped}"' if always or any(each in word for each in " \t'\"\\;") else escaped
