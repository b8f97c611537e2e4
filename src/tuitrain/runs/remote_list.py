"""The runs below a folder of another machine, read in the background: a machine that does not answer delays nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tuitrain.remote.address import Address
from tuitrain.remote.hosts import hosts_of_settings
from tuitrain.remote.sync import MirrorSync, opened
from tuitrain.runs.discover import RunNotFoundError
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.remote import ENDS, runs_of

_AGAIN_S = 30.0
"""Between two attempts to reach a machine that was not reached yet."""


class RemoteList(threading.Thread):
    """done: called by the thread each time the list was read, and when it cannot be. follow: whether it is read on."""

    def __init__(self, address: Address, done: Callable[[RemoteList], object], *, follow: bool = False) -> None:
        super().__init__(name=f"tuitrain-{address.host}", daemon=True)
        self.address = address
        self.runs: tuple[RunDirectory, ...] = ()
        self.answered = False
        """Whether it was read, or it is known why it cannot be."""
        self._done, self._follow = done, follow
        self._sync = opened(address)
        self._problem = ""
        self._stopped = threading.Event()

    @property
    def state(self) -> str:
        """Why there is no list, or none of now; empty where there is one."""
        if not self.answered:
            return "connecting"
        return self._problem or (self._sync.link().problem if self._sync.is_running else "")

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._sync.open()
                self._read(self._sync)
            except (OSError, RunNotFoundError) as error:
                # A directory of runs that is not there holds none, as here.
                missing = isinstance(error, FileNotFoundError)
                self._problem = "" if missing else getattr(error, "strerror", "") or str(error)
                self.answered = True
                self._done(self)
            else:
                if self._follow:
                    self._sync.on_list = self._read
                    self._sync.start()
                return
            if not self._follow:
                return
            self._stopped.wait(_AGAIN_S)

    def _read(self, sync: MirrorSync) -> None:
        self.runs, self.answered, self._problem = tuple(runs_of(sync, ENDS)), True, ""
        self._done(self)

    def stop(self) -> None:
        """End the connection; the thread ends by itself."""
        self._stopped.set()
        self._sync.close()


def lists_of_settings(done: Callable[[RemoteList], object], *, follow: bool = False) -> list[RemoteList]:
    """A list for each of the `hosts` in the settings, all being read. Raises SettingsError."""
    lists = [RemoteList(address, done, follow=follow) for address in hosts_of_settings()]
    for each in lists:
        each.start()
    return lists
