"""Where alerts are sent: services through apprise, a command, the terminal.

An address holds a secret: no message and no error repeats one, nor a command line.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from tuitrain.checks.reported import ReportedAlert
from tuitrain.settings import SettingsError
from tuitrain.text import clean, shortened

TERMINAL = "terminal"
VARIABLE = "TUITRAIN_NOTIFY"
"""Addresses with blanks between them."""
COMMAND_S = 60.0
_LONGEST = 300
"""Characters that a terminal is asked to show."""


@dataclass(frozen=True)
class Message:
    """What is sent. facts: for a command, by the names of its variables."""

    title: str
    body: str
    facts: Mapping[str, str]


class NotifyError(RuntimeError):
    """A message that could not be delivered; the sentence names the target by its number and kind."""


class Target(Protocol):
    """Where alerts are sent."""

    name: str

    def send(self, message: Message) -> None:
        """Deliver a message. Raises NotifyError."""


class Service:
    """A service of apprise. Raises SettingsError for an address that it does not know, or where it is not installed."""

    def __init__(self, url: str, number: int) -> None:
        kind = url.partition("://")[0] if "://" in url else ""
        self.name = f"address {number}" + (f" ({kind})" if kind.isalnum() and len(kind) < 20 else "")
        try:
            # Only sending through a service needs it.
            import apprise
        except ModuleNotFoundError:
            raise SettingsError(f"notify: {self.name} needs apprise: pip install 'tuitrain[notify]'.") from None
        # It logs addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._service: Any = apprise.Apprise()
        if not self._service.add(url):
            raise SettingsError(f"notify: {self.name} is no address that apprise knows; its documentation lists them.")

    def send(self, message: Message) -> None:
        """Deliver a message. Raises NotifyError."""
        try:
            delivered = bool(self._service.notify(title=message.title, body=message.body))
        except Exception:
            # A plugin may raise anything, with the address in its text.
            delivered = False
        if not delivered:
            raise NotifyError(f"{self.name} could not be reached.")


class Command:
    """A program, started without a shell; it gets the message on its standard input and the facts as variables."""

    def __init__(self, line: str, name: str = "the command") -> None:
        self.name = name
        try:
            self._words = shlex.split(line)
        except ValueError:
            self._words = []
        if not self._words:
            raise SettingsError(
                f"{name} of the alerts is no command line: a quote in it is not closed, or it is empty."
            )

    def send(self, message: Message) -> None:
        """Run it. Raises NotifyError."""
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        try:
            done = subprocess.run(
                self._words, input=message.body, text=True, timeout=COMMAND_S, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env={**environment, **message.facts},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotifyError(f"{self.name} took more than {COMMAND_S:.0f} s and was ended.") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its words cannot be passed on"
            raise NotifyError(f"{self.name} could not be started: {reason}.") from None
        if done.returncode:
            raise NotifyError(f"{self.name} ended with exit code {done.returncode}.")


class Terminal:
    """The terminal's bell, and a notification of the desktop where it knows OSC 9."""

    name = TERMINAL

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def send(self, message: Message) -> None:
        """Ring, if the stream is a terminal. Raises NotifyError."""
        if not self._stream.isatty():
            return
        text = shortened(clean(f"{message.title}: {message.body}"), _LONGEST)
        try:
            self._stream.write(f"\x1b]9;{text}\x07\a")
            self._stream.flush()
        except OSError as error:
            raise NotifyError(f"the terminal cannot be written to: {error.strerror}.") from None


def targets_of(addresses: Iterable[str], command: str = "") -> list[Target]:
    """The targets with these addresses, of which `terminal` is one, and a command. Raises SettingsError."""
    targets: list[Target] = []
    for number, address in enumerate(dict.fromkeys(addresses), start=1):
        targets.append(Terminal() if address == TERMINAL else Service(address, number))
    return [*targets, Command(command)] if command else targets


def addresses_of_environment() -> list[str]:
    """Those of the variable."""
    return os.environ.get(VARIABLE, "").split()


@dataclass
class _Delivery:
    """A message that waits to be sent. about: what it is about."""

    target: Target
    message: Message
    about: ReportedAlert
    due: float
    tries: int = 0


class Deliveries:
    """Sends messages, again and again for a while to a target that cannot be reached."""

    TRIES, PAUSE_S = 8, 30.0

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._waiting: list[_Delivery] = []

    def add(self, message: Message, about: ReportedAlert, now: float) -> None:
        """Send a message to every target with the next `send`. now: in Unix seconds."""
        self._waiting += [_Delivery(target, message, about, now) for target in self._targets]

    @property
    def waiting(self) -> set[ReportedAlert]:
        """What the messages are about that some target has not got yet."""
        return {each.about for each in self._waiting}

    def send(self, now: float) -> list[str]:
        """Send what is due; returns sentences on what could not be delivered."""
        waiting, self._waiting = self._waiting, []
        problems: dict[str, None] = {}
        down: set[str] = set()
        for each in waiting:
            if each.due > now or each.target.name in down:
                self._waiting.append(each)
                continue
            try:
                each.target.send(each.message)
            except NotifyError as error:
                down.add(each.target.name)
                each.due, each.tries = now + self.PAUSE_S * 2**each.tries, each.tries + 1
                again = each.tries < self.TRIES
                problems[f"{error} {'It is tried again.' if again else 'It is not tried again.'}"] = None
                if again:
                    self._waiting.append(each)
        return list(problems)
