"""The unit with which systemd keeps a watcher running."""

from __future__ import annotations

from collections.abc import Sequence

UNIT = "tuitrain-check.service"
_ENVIRONMENT = "%h/.config/tuitrain/check.env"


def unit_text(command: Sequence[str], directory: str) -> str:
    """A unit of the user's systemd that runs this command in a directory."""
    return f"""# systemctl --user edit --force --full {UNIT}, paste this, then: systemctl --user enable --now {UNIT}
# Without a session it runs on after: loginctl enable-linger
[Unit]
Description=Alerts of training runs (tuitrain check --follow)
After=network-online.target

[Service]
ExecStart={" ".join(map(_quoted, command))}
WorkingDirectory={directory.replace("%", "%%")}
# Secrets stand there, such as TUITRAIN_NOTIFY="ntfy://topic"; its mode should be 600.
EnvironmentFile=-{_ENVIRONMENT}
Restart=on-failure
RestartSec=30

[Install]
WantedBy=default.target
"""


def _quoted(word: str) -> str:
    """A word as ExecStart reads it: in quotes where needed, without specifiers and variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(each in word for each in " \t'\"\\;") else escaped
