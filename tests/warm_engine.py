"""Processes that start without the seconds of importing torch or the commands: forks of one that has imported them.

Each is a process of its own, with its own output, environment, directory, signals and exit code, and runs
`tuitrain_engine`, or another module, as `python -m tuitrain_engine` does. Where it starts such a command itself, as
`tuitrain launch` and torchrun do, its child is a fork too, with the same place in the process tree. Tests of the start
itself start the command instead.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import logging
import os
import pickle
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
IMPORTED = (
    "tuitrain_engine.lifecycle", "tuitrain_engine.commands", "torch._dynamo", "torch.distributed.fsdp",
    "torch.distributed.run", "tuitrain.cli.app", "tuitrain.cli.commands.compare", "tuitrain.launch.restart",
)  # fmt: skip
"""What the engine, torch and the commands import once they know what to do."""
BEFORE_TESTS = dict(os.environ)
"""The environment of the server: not that of the test which needs it first, which may kill what has its environment."""
SPACE = " " * 2000
"""For the command line and the environment of a process, as others see them."""
_ARGUMENTS, _ENVIRONMENT = 45, 47
"""Which fields of /proc/self/stat, after the name, say where they are."""


@dataclass(frozen=True)
class Request:
    """A process to be forked: `python -m MODULE ARGUMENT …`; before: a picklable function that it calls first."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str
    before: Callable[[], object] | None


class WarmProcess:
    """A forked engine, with the attributes of `subprocess.Popen` that tests use; its output are two pipes of text."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        module: str = "tuitrain_engine",
        before: Callable[[], object] | None = None,
    ) -> None:
        request = Request(module, list(arguments), dict(env), str(cwd), before)
        output, errors = os.pipe(), os.pipe()
        self.stdout, self.stderr = (os.fdopen(each[0], encoding="utf-8", errors="replace") for each in (output, errors))
        self._status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = [output[1], errors[1], theirs.fileno()]
        socket.send_fds(_server(), [pickle.dumps(request)], given)
        for file in (output[1], errors[1]):
            os.close(file)
        theirs.close()
        self.pid = self._receive()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        try:
            return self._exit_code(0)
        except BlockingIOError:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises TimeoutError."""
        return self._exit_code(timeout)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What is left of its output and errors, once it has ended."""
        with ThreadPoolExecutor(1) as pool:
            errors = pool.submit(self.stderr.read)
            output = self.stdout.read()
        self.wait(timeout)
        self.stdout.close()
        self.stderr.close()
        return output, errors.result()

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _exit_code(self, timeout: float | None) -> int:
        if self.returncode is None:
            self._status.settimeout(timeout)
            self.returncode = self._receive()
            self._status.close()
        return self.returncode

    def _receive(self) -> int:
        message = self._status.recv(64)
        assert message, "the server of warm processes has died"
        return int(message)


def start_ranks(
    arguments: Sequence[str],
    processes: int,
    *,
    env: Mapping[str, str],
    cwd: Path,
    module: str = "tuitrain_engine",
    before: Mapping[int, Callable[[], object]] = MappingProxyType({}),
) -> list[WarmProcess]:
    """The processes of one attempt, with the variables that torchrun gives them; before: by rank."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": port,
        "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes,
    }  # fmt: skip
    return [
        WarmProcess(
            arguments, cwd=cwd, module=module, before=before.get(rank),
            env={**env, **{key: str(value) for key, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}},
        )
        for rank in range(processes)
    ]  # fmt: skip


def print_into(path: Path) -> None:
    """For `before`: the process writes its output into a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)


def lead_session_into(path: Path) -> None:
    """For `before`: the process leads a session and writes its output into a file, as one that outlives a launch."""
    os.setsid()
    print_into(path)


def start_real_children() -> None:
    """For `before`: what the process starts are new interpreters, with the modules of their PYTHONPATH."""
    subprocess.Popen = Popen.__base__  # type: ignore[misc, assignment]


@cache
def _server() -> socket.socket:
    """A connection to the server, which the first worker of a test run starts; it ends with the last."""
    address = f"\0tuitrain-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as theirs:
            try:
                theirs.bind(address)
            except OSError:  # another worker has
                with suppress(ConnectionRefusedError):  # it is about to listen
                    ours.connect(address)
                    return ours
            else:
                theirs.listen()
                ours.connect(address)
                subprocess.Popen(
                    [sys.executable, "-P", __file__, str(theirs.fileno()), SPACE],
                    env={**BEFORE_TESTS, "OMP_NUM_THREADS": "1", "SPACE": SPACE}, stdin=subprocess.DEVNULL, cwd=ROOT,
                    stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                )  # fmt: skip
                return ours


def serve(listening: socket.socket) -> None:
    """Fork a process for each request, until nobody can send one."""
    subprocess.Popen = Popen  # type: ignore[misc]
    for module in IMPORTED:
        __import__(module)
    gc.freeze()
    # Only the thread that forks lives on in a fork.
    assert threading.active_count() == len(list(Path("/proc/self/task").iterdir())) == 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    workers = [listening.accept()[0]]
    while workers:
        for ready in select.select([listening, *workers], [], [])[0]:
            if ready is listening:
                workers.append(listening.accept()[0])
                continue
            message, files, *_ = socket.recv_fds(ready, 1 << 20, 3)
            if not message:
                workers.remove(ready)
                ready.close()
            elif os.fork() == 0:
                for each in (listening, *workers):
                    each.close()
                output, errors, status = files
                run(pickle.loads(message), output, errors, socket.socket(fileno=status))
            for file in files:
                os.close(file)


def run(request: Request, output: int, errors: int, status: socket.socket) -> NoReturn:
    """Fork again: one process becomes the engine, the other reports its pid and how it ends."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGCHLD, signal.SIG_DFL)):
        signal.signal(number, handler)
    pid = os.fork()
    if pid:
        os.close(output)
        os.close(errors)
        status.send(str(pid).encode())
        _, ended = os.waitpid(pid, 0)
        with suppress(BrokenPipeError):  # the tests have ended
            status.send(str(os.waitstatus_to_exitcode(ended)).encode())
        os._exit(0)
    status.close()
    for file, number in ((output, 1), (errors, 2)):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request.directory)
    become(request.module, request.arguments, request.environment, request.before)


class Popen(subprocess.Popen[Any]):
    """In a fork: `python -m MODULE ARGUMENT …` is a fork of it, as is a script that torchrun starts with `python -u`.

    Any other command is what it always is.
    """

    def __init__(
        self,
        args: Any,
        *further: Any,
        env: Mapping[str, str] | None = None,
        pass_fds: Collection[int] = (),
        **options: Any,
    ) -> None:
        python, *words = args if isinstance(args, (list, tuple)) else [args]
        unbuffered = words[:1] == ["-u"]
        del words[:unbuffered]
        module = words[:1] == ["-m"]
        if python == sys.executable and (module or unbuffered):
            # Called in the child before it would start the program; it does not return.
            environment = dict(os.environ if env is None else env)
            options["preexec_fn"] = partial(_leave, words[module:], environment, pass_fds)
        super().__init__(args, *further, env=env, pass_fds=pass_fds, **options)


def _leave(words: list[str], environment: dict[str, str], pass_fds: Collection[int]) -> NoReturn:
    """Give up what a new program would not have of this process, and run a module or a script in its place."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit._clear()
    logging.disable(logging.NOTSET)
    # The objects that have the files close the numbers once more, so these stay taken.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in pass_fds:
            with suppress(OSError):  # that of the listing itself
                os.dup2(nothing, number)
    become(words[0], words[1:], environment)


def become(
    module: str, arguments: list[str], environment: dict[str, str], before: Callable[[], object] | None = None
) -> NoReturn:
    """Run a module, or the script at a path, as a new interpreter would, and end."""
    os.environ.clear()
    _show(_ARGUMENTS, [sys.executable, "-m", module, *arguments])
    _show(_ENVIRONMENT, map("=".join, environment.items()))
    os.environ.update(environment)
    # A file object remembers whether it can seek.
    encoding = environment.get("PYTHONIOENCODING")
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)
    code: object = 0
    try:
        for folder in environment.get("PYTHONPATH", "").split(os.pathsep):
            if (customize := Path(folder, "sitecustomize.py")).exists():
                runpy.run_path(str(customize))
        if before is not None:
            before()
        sys.argv[1:] = arguments
        if module.endswith(".py"):
            sys.path.insert(0, str(Path(module).parent))
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    # As at the end of any interpreter, but for its tearing down of all modules, which copies the memory of the server.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _show(first_field: int, words: Iterable[str]) -> None:
    """Write words where the kernel shows other processes those that the server was started with."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = map(int, fields[first_field : first_field + 2])
    text = "\0".join(words).encode(errors="surrogateescape")[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    # For what `Request.before` names, and for the class of requests, which the tests know under another name.
    sys.path.append(str(ROOT))
    from tests import warm_engine

    warm_engine.serve(socket.socket(fileno=int(sys.argv[1])))
