"""Another machine, through `ssh`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.errors import LaunchError
from tuitrain.remote import agent
from tuitrain.remote.address import AddressError, checked_host
from tuitrain.remote.connection import Connection, RemoteError


def examine_host(host: str) -> Iterator[Finding]:
    """What is found of the machine that `ssh` reaches under this name. Raises LaunchError for what names none."""
    try:
        host = checked_host(host)
    except AddressError as error:
        raise LaunchError(f"--host: {error}") from None
    try:
        with closing(Connection(host)) as connection:
            connection.send(agent.change(""))
            connection.change()
    except RemoteError as error:
        yield Finding("SSH", "wrong", f"{host}: {error.strerror}", f"make `ssh {host}` work without a question")
        return
    yield Finding("SSH", "ok", f"{host} answers, with a POSIX shell")
