"""`user@host:path`: a place on another machine, as `ssh` and `scp` name it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ADDRESS = re.compile(r"(?P<host>(?:[^/:@\[\]]*@)?(?:\[[^\[\]/]*\]|[^/:@\[\]]*)):(?P<path>.*)", re.DOTALL)
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[A-Za-z0-9_][A-Za-z0-9_.-]*")
_IPV6 = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?[0-9A-Fa-f:]{2,}(?:%[A-Za-z0-9]+)?")
GROUP = "group:"
"""What the name of a group of runs begins with: it is no host."""
_CONTROL = re.compile(r"[\0-\x1f\x7f]")


class AddressError(ValueError):
    """The text cannot be passed to `ssh`; the message says why."""


@dataclass(frozen=True)
class Address:
    """host: what `ssh` gets, a name of its configuration too. path: there, relative to the user's home directory."""

    host: str
    path: str

    def __str__(self) -> str:
        host = self.host
        if ":" in host:
            user, at, number = host.rpartition("@")
            host = f"{user}{at}[{number}]"
        return f"{host}:{self.path}"

    def joined(self, name: str) -> Address:
        """The address of a file or folder below this one."""
        return Address(self.host, f"{self.path.rstrip('/')}/{name}" if self.path.strip("/") else self.path + name)


def is_address(text: str) -> bool:
    """Whether a text has the form of an address: a colon, and no slash before it."""
    return not text.startswith(GROUP) and _ADDRESS.fullmatch(text) is not None


def parse_address(text: str) -> Address:
    """The address in `user@host:path`. Raises AddressError for what could be taken for an option or for code."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise AddressError(f"{text!r} is not HOST:PATH.")
    return Address(checked_host(match["host"]), checked_path(match["path"]))


def checked_host(host: str) -> str:
    """The host as `ssh` gets it, an IPv6 address without brackets. Raises AddressError for what names none."""
    user, at, name = host.rpartition("@")
    bare = f"{user}{at}{name[1:-1]}" if name[:1] == "[" else host
    if not (_IPV6 if ":" in bare else _HOST).fullmatch(bare):
        raise AddressError(f"{host!r} is not the name of a host: write HOST or USER@HOST, of letters, digits and . _ -")
    return bare


def checked_path(path: str) -> str:
    """The path, `~/` resolved to what `ssh` starts in. Raises AddressError for one with control characters."""
    if _CONTROL.search(path):
        raise AddressError(f"the path {path!r} has control characters.")
    if path in ("~", "~/"):
        return ""
    if path.startswith("~") and not path.startswith("~/"):
        raise AddressError(f"{path!r}: only ~/ is known, not the home directory of another user.")
    return path.removeprefix("~/")
