"""How `launch` and `resume` stay with a run after its start."""

from __future__ import annotations

import os
import sys

import typer

from tuitrain.cli.output import is_terminal, print_json, say
from tuitrain.launch.following import Process, follow, wait_for_record
from tuitrain.launch.slurm.process import SubmittedRun
from tuitrain.runs import RunDirectory, RunSnapshot, Status, command_for, read_snapshot
from tuitrain.runs.status import is_wrapped
from tuitrain.text import clean
from tuitrain.tui.settings import load_settings

RECORD_S, PROGRAM_S = 60.0, 5.0
"""How long --detach waits for the first record: of the engine, which imports torch, and of another program."""


class Attachment:
    """How a command stays with a run: not at all, printing the console, or with the dashboard."""

    def __init__(self, *, detach: bool, foreground: bool, as_json: bool) -> None:
        """Read the settings where the dashboard will open. Raises SettingsError, so make it before anything starts."""
        self.detach, self._foreground, self._as_json = detach, foreground, as_json
        self._settings = None if detach or foreground or as_json or not is_terminal() else load_settings()

    def follow(self, run: RunDirectory, process: Process, console_bytes: int = 0) -> None:
        """Return, or raise Exit with the exit code. console_bytes: size of the console from earlier attempts."""
        next_commands = _next_commands(run)
        document = {"run_id": run.run_id, "path": str(run.path)}
        if self.detach:
            return self._leave(run, process, document, next_commands)
        if self._settings is not None:
            # Textual is imported only for the dashboard.
            from tuitrain.tui.app import run_app

            code = run_app("watch", [run], run.path.parent, loaded=self._settings)
            status = read_snapshot(run).status
            if not status.live:
                print(f"{run.run_id}  {status}")
            raise typer.Exit(code)
        say(f"run {run.run_id}\nin  {run.path}")
        try:
            code = follow(run, process, self._write, foreground=self._foreground, console_bytes=console_bytes)
        except KeyboardInterrupt:
            say(f"\nThe training continues. {next_commands}")
            raise
        snapshot = read_snapshot(run)
        if snapshot.status is Status.CRASHED:
            # What was killed has printed nothing about it.
            say(_sentence(run, snapshot))
        if self._as_json:
            print_json(document | {"status": snapshot.status, "exit_code": code})
        raise typer.Exit(code)

    def follow_job(self, run: RunDirectory, job_id: str, sentence: str, console_bytes: int = 0) -> None:
        """The same with a job of Slurm, whose start --detach does not wait for. sentence: about the job."""
        say(sentence)
        if not self.detach:
            return self.follow(run, SubmittedRun(run), console_bytes)
        if self._as_json:
            return print_json({"run_id": run.run_id, "path": str(run.path), "job_id": job_id})
        print(run.run_id)
        return say(_next_commands(run))

    def _leave(self, run: RunDirectory, process: Process, document: dict[str, str], next_commands: str) -> None:
        """Return once the run has written its first record, or raise Exit where it has failed before that."""
        if not self._as_json:
            print(run.run_id, flush=True)
        patience_s = PROGRAM_S if is_wrapped(run.read_metadata()) else RECORD_S
        seen = wait_for_record(run, process, patience_s)
        if self._as_json:
            print_json(document | {"pid": process.pid})
        snapshot = read_snapshot(run)
        if snapshot.status in (Status.FAILED, Status.CRASHED):
            say(_sentence(run, snapshot))
            raise typer.Exit(1)
        if not seen and process.poll() is None and patience_s == RECORD_S:
            say(f"It has written no record within {patience_s:.0f} s; its console: {command_for('logs', run)}")
        say(next_commands)

    def _write(self, text: str) -> None:
        stream = sys.stderr if self._as_json else sys.stdout
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            if not self._foreground:
                raise
            # The reader of the pipe has ended, as with `| head`; this command still forwards signals to the run.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _next_commands(run: RunDirectory) -> str:
    return f"Watch: {command_for('watch', run)} · stop: {command_for('stop', run)}"


def _sentence(run: RunDirectory, snapshot: RunSnapshot) -> str:
    """Why a run has failed or crashed."""
    return f"{run.run_id} {snapshot.status}: {clean(snapshot.reason or 'its console says why')}"
