"""Actions on runs: stop, checkpoint, evaluate, audit, edit tags, add a note, copy a value.

Screens import this module with their first action: it loads the launcher and the dialogs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from tuitrain.audit import audit_run
from tuitrain.export.errors import ExportError
from tuitrain.launch import LaunchError
from tuitrain.launch.queue import move_by, start_runner
from tuitrain.launch.requests import RequestMonitor, send_request
from tuitrain.launch.stop import stop_run
from tuitrain.runs import RunDirectory, RunSnapshot, Status, read_snapshot
from tuitrain.runs.editing import EditError, add_note, change_tags, normal_tags, set_tags
from tuitrain.text import clean, clean_lines
from tuitrain.tui.base_app import BaseApp
from tuitrain.tui.screens.dialogs import Confirm, Dialog, Prompt

POLL_S = 0.4
POLLS_PER_STATUS = 12
"""Polls of the log after which the run's status is read too: a run whose process is gone writes no answer."""
_QUESTIONS = {"stop": "Stop", "checkpoint": "Save a checkpoint of", "eval": "Evaluate", "pause": "Pause",
              "continue": "Continue"}  # fmt: skip


class RunActions:
    """Actions on the runs they are given; each shows its result as a notification.

    They are workers of the app, so that they go on when another screen is shown, and use files in threads, since a
    network file system may be slow.
    """

    def __init__(self, app: BaseApp) -> None:
        self._app = app

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a coroutine as a worker of the app; errors that a user can correct are shown."""
        _: Worker[None] = self._app.run_worker(partial(self._report_errors, work), group="acting")

    async def _report_errors(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (LaunchError, EditError, ExportError) as error:
            self._app.notify(str(error), severity="error")
        except OSError as error:
            self._app.notify(f"{error.filename or 'the run'}: {error.strerror or error}.", severity="error")

    async def request(self, runs: Sequence[RunDirectory], request: str) -> None:
        """Send a request to the live ones of the runs, and later show the answers.

        `pause` lets the runs go on if all of them are paused. A stop, and a request to several runs, needs a
        confirmation first.
        """
        snapshots = [await asyncio.to_thread(read_snapshot, run) for run in runs]
        live = [each for each in snapshots if each.status.live]
        if request == "pause" and all(each.status is Status.PAUSED for each in live):
            request = "continue"
        if not live:
            one = f"{runs[0].run_id} is {snapshots[0].status}"
            over = one if len(runs) == 1 else f"None of the {len(runs)} runs is live"
            done = "stopped" if request == "stop" else "asked"
            self._app.notify(f"{over}: only a live run can be {done}.", severity="error")
            return
        if request == "stop" or len(runs) > 1:
            confirmed = await self._app.push_screen_wait(Confirm(request, _question(request, live, len(runs))))
            if not confirmed:
                return
        for each in live:
            self.run(partial(self._send, each.directory, request))

    async def _send(self, run: RunDirectory, request: str) -> None:
        """Send a request to one run, and wait for the answer or the end of the run."""
        monitor = RequestMonitor(run, request)
        self._app.notify(await asyncio.to_thread(_send, run, request))
        polls = 0
        while not (answer := await asyncio.to_thread(monitor.poll)):
            polls += 1
            if polls % POLLS_PER_STATUS == 0 and (problem := await asyncio.to_thread(monitor.poll_status)):
                # The answer may have been written between the last poll and the end.
                answer = await asyncio.to_thread(monitor.poll)
                self._app.notify(answer or problem, severity="information" if answer else "error")
                return
            await asyncio.sleep(POLL_S)
        self._app.notify(answer)

    async def move_in_queue(self, run: RunDirectory, places: int) -> None:
        """Move a run in the queue; the list shows where it is then."""
        await asyncio.to_thread(move_by, run, places)
        self._app.feed.watch_list(self._app.runs_dir)
        # Who moves a run expects that the queue goes on.
        await asyncio.to_thread(start_runner, run.path.parent)

    async def edit_tags(self, runs: Sequence[RunDirectory]) -> None:
        """Edit the tags of a run in a line, or those that several runs share."""
        infos = [await asyncio.to_thread(run.read_metadata) for run in runs]
        tags = [info.tags if info else [] for info in infos]
        shared = [tag for tag in tags[0] if all(tag in each for each in tags)]
        explanation = "" if len(runs) == 1 else "The tags that all of them have; further tags of each stay."
        # A blank at the end separates the next tag.
        value = "".join(f"{tag} " for tag in shared)
        text = await self._typed(Prompt(f"tags of {_named(runs)}", value, "words with spaces between", explanation))
        if text is None:
            return
        new = normal_tags(text.replace(",", " ").split())
        if len(runs) == 1:
            await asyncio.to_thread(set_tags, runs[0], new)
        else:
            removed = [tag for tag in shared if tag not in new]
            for run in runs:
                await asyncio.to_thread(change_tags, run, new, removed)
        self._app.notify(f"{_named(runs)}: {'tags ' + ' '.join(new) if new else 'no tags'}.")

    async def add_note(self, runs: Sequence[RunDirectory]) -> None:
        """Add a note, typed in a line, to the runs."""
        info = await asyncio.to_thread(runs[0].read_metadata) if len(runs) == 1 else None
        notes = "\n".join(clean(note) for note in info.notes[-5:]) if info else ""
        text = await self._typed(Prompt(f"note to {_named(runs)}", hint="one line", explanation=notes))
        if text and text.strip():
            for run in runs:
                await asyncio.to_thread(add_note, run, text.strip())
            self._app.notify(f"{_named(runs)}: noted.")

    async def audit(self, runs: Sequence[RunDirectory]) -> None:
        """Show whether the numbers of each log agree with each other."""
        lines = []
        for run in runs:
            outcome = await asyncio.to_thread(audit_run, run)
            lines += [f"{run.run_id}: {outcome.summary}." if len(runs) > 1 else f"{outcome.summary}.", ""]
            for name, finding in outcome.findings:
                lines += [f"{finding.severity}, {name}: {' '.join(finding.sentences)}", ""]
        text = Static(Content(clean_lines("\n".join(lines[:-1]))))
        await self._app.push_screen_wait(Dialog(f"audit of {_named(runs)}", VerticalScroll(text)))

    async def _typed(self, prompt: Prompt) -> str | None:
        """The text that is typed into a prompt; notifications, which would cover it, are removed first."""
        self._app.clear_notifications()
        return await self._app.push_screen_wait(prompt)

    def copy(self, name: str, text: str | None) -> None:
        """Copy a text to the clipboard of the terminal, over SSH too (OSC 52); None is no value."""
        if text is None:
            self._app.notify(f"{name}: n/a, nothing is copied.", severity="error")
            return
        self._app.copy_to_clipboard(text)
        self._app.notify(f"copied {name}: {text}")


def _send(run: RunDirectory, request: str) -> str:
    """Send a request; returns the sentence that confirms it. Raises LaunchError or OSError."""
    if request != "stop":
        return send_request(run, request)
    sentences: list[str] = []
    stop_run(run, wait=False, report=sentences.append, reason="stopped from the dashboard")
    return " ".join(sentences)


def _question(request: str, live: Sequence[RunSnapshot], total: int) -> str:
    """The question before a request to these runs, and how many of `total` have ended."""
    over = total - len(live)
    rest = f"\n{over} of the {total} {'is' if over == 1 else 'are'} over already." if over else ""
    if request == "stop" and len(live) == 1:
        run, step = live[0].directory, live[0].step
        at = f" It is at step {step.step:,}." if step is not None else ""
        how = f"It saves a checkpoint and ends; `tuitrain resume {run.run_id}` continues it."
        return f"Stop {run.run_id}?{at}\n{how if run.config.exists() else 'Its program gets SIGTERM.'}{rest}"
    names = "\n".join(f"  {each.directory.run_id}" for each in live[:8])
    more = f"\n  and {len(live) - 8} more" if len(live) > 8 else ""
    how = "\nEach saves a checkpoint and ends." if request == "stop" else ""
    return f"{_QUESTIONS[request]} {len(live)} run{'s'[: len(live) > 1]}?\n{names}{more}{rest}{how}"


def _named(runs: Sequence[RunDirectory]) -> str:
    return runs[0].run_id if len(runs) == 1 else f"{len(runs)} runs"
