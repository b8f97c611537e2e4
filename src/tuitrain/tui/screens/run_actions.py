"""What can be done to a run from a screen: stop, checkpoint, evaluate, tags, note, and copying what it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tuitrain.events.text import clean
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.page import BaseScreen

if TYPE_CHECKING:
    from textual.worker import Worker

    from tuitrain.launch.requests import RequestMonitor
    from tuitrain.runs import RunSnapshot
    from tuitrain.tui.screens.dialogs import Prompt

ANSWER_POLL_S = 0.4
POLLS_BETWEEN_LOOKS = 12
"""Polls of the log after which the run's status is looked at too: whoever is gone does not answer."""


class RunActions(BaseScreen):
    """Actions on `acting_on()`, the run in focus or under the cursor, and on marked runs where there are any.

    What touches files happens in threads: a network file system may take its time.
    """

    def acting_on(self) -> RunDirectory | None:
        """The run that is meant; None where there is none, or it has no directory."""
        view = self.state.run
        return view.directory if view else None

    def targets(self) -> list[RunDirectory]:
        """The runs that are meant: on the list of runs all marked ones, if any."""
        if self.screen_name == "runs" and self.state.marked:
            return [each.directory for each in self.state.snapshots or () if each.directory.run_id in self.state.marked]
        run = self.acting_on()
        return [run] if run is not None else []

    def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let it run beside the screen. Its fate is the app's: it goes on when another screen is shown."""
        _: Worker[None] = self.app.run_worker(partial(self._careful, work), group="acting")

    async def _careful(self, work: Callable[[], Awaitable[None]]) -> None:
        from tuitrain.launch import LaunchError
        from tuitrain.runs.editing import EditError

        try:
            await work()
        except (LaunchError, EditError) as error:
            self.tell(str(error), trouble=True)
        except OSError as error:
            self.tell(f"{error.filename or 'the run'}: {error.strerror or error}.", trouble=True)

    def action_stop_run(self) -> None:
        """Ask once, saying what will happen; then leave the request."""
        if runs := self._some():
            self.beside(partial(self._stop, runs))

    async def _live(self, runs: Sequence[RunDirectory], done: str) -> list[RunSnapshot]:
        """Those of the runs that are live; without one it is said that no other can be `done`."""
        from tuitrain.runs import read_snapshot

        seen = [await asyncio.to_thread(read_snapshot, run) for run in runs]
        live = [each for each in seen if each.status.live]
        if not live:
            alone = f"{runs[0].run_id} is {seen[0].status}"
            over = alone if len(runs) == 1 else f"None of the {len(runs)} runs is live"
            self.tell(f"{over}: only a live run can be {done}.", trouble=True)
        return live

    async def _stop(self, runs: Sequence[RunDirectory]) -> None:
        from tuitrain.launch.requests import RequestMonitor
        from tuitrain.launch.stop import stop_run
        from tuitrain.tui.screens.dialogs import Confirm

        live = await self._live(runs, "stopped")
        if not live or not await self.app.push_screen_wait(Confirm("stop", _question(live, len(runs)))):
            return
        for each in live:
            answers = RequestMonitor(each.directory, "stop")
            said: list[str] = []
            await asyncio.to_thread(stop_run, each.directory, wait=False, tell=said.append)
            self.tell(" ".join(said))
            self.beside(partial(self._hear, answers))

    def action_checkpoint_run(self) -> None:
        self._ask("checkpoint", "Save a checkpoint of")

    def action_evaluate_run(self) -> None:
        self._ask("eval", "Evaluate")

    def _ask(self, request: str, does: str) -> None:
        """Leave the request, say so, and later say what came of it; of several runs ask first."""
        if runs := self._some():
            self.beside(partial(self._request_all, runs, request, does))

    async def _request_all(self, runs: Sequence[RunDirectory], request: str, does: str) -> None:
        from tuitrain.tui.screens.dialogs import Confirm

        live = await self._live(runs, "asked")
        if len(runs) > 1 and live:
            question = f"{does} {_those(live, len(runs))}"
            if not await self.app.push_screen_wait(Confirm(request, question)):
                return
        for each in live:
            self.beside(partial(self._request, each.directory, request))

    async def _request(self, run: RunDirectory, request: str) -> None:
        from tuitrain.launch.requests import RequestMonitor, ask_run

        answers = RequestMonitor(run, request)
        self.tell(await asyncio.to_thread(ask_run, run, request))
        await self._hear(answers)

    async def _hear(self, answers: RequestMonitor) -> None:
        """Wait until the log says what came of a request, and say it."""
        polls = 0
        while True:
            await asyncio.sleep(ANSWER_POLL_S)
            if told := await asyncio.to_thread(answers.poll):
                self.tell(told)
                return
            polls += 1
            if polls % POLLS_BETWEEN_LOOKS == 0 and (lost := await asyncio.to_thread(answers.lost)):
                told = await asyncio.to_thread(answers.poll)
                self.tell(told or lost, trouble=told is None)
                return

    def action_edit_tags(self) -> None:
        """Edit the tags of the run in a line; of several, those they share."""
        if runs := self._some():
            self.beside(partial(self._edit_tags, runs))

    async def _edit_tags(self, runs: Sequence[RunDirectory]) -> None:
        from tuitrain.runs.editing import change_tags, normal_tags, set_tags
        from tuitrain.tui.screens.dialogs import Prompt

        own = [await asyncio.to_thread(_tags_of, run) for run in runs]
        shared = [tag for tag in own[0] if all(tag in tags for tags in own)]
        about = "" if len(runs) == 1 else "These they share; what else each is tagged with stays."
        title = f"tags of {_named(runs)}"
        # With a blank at the end the next word is a further tag.
        value = "".join(f"{tag} " for tag in shared)
        line = await self._line(Prompt(title, value, "words with spaces between", about))
        if line is None:
            return
        wanted = normal_tags(line.replace(",", " ").split())
        if len(runs) == 1:
            await asyncio.to_thread(set_tags, runs[0], wanted)
        else:
            gone = [tag for tag in shared if tag not in wanted]
            for run in runs:
                await asyncio.to_thread(change_tags, run, wanted, gone)
        self.tell(f"{_named(runs)}: {'tags ' + ' '.join(wanted) if wanted else 'no tags'}.")

    async def _line(self, prompt: Prompt) -> str | None:
        """What is typed at the foot of the screen, where notices of before would cover it."""
        self.app.clear_notifications()
        return await self.app.push_screen_wait(prompt)

    def action_edit_note(self) -> None:
        """Add a note to the run in a line, or the same one to several."""
        if runs := self._some():
            self.beside(partial(self._add_note, runs))

    async def _add_note(self, runs: Sequence[RunDirectory]) -> None:
        from tuitrain.runs.editing import add_note
        from tuitrain.tui.screens.dialogs import Prompt

        info = await asyncio.to_thread(runs[0].read_info) if len(runs) == 1 else None
        before = "\n".join(clean(note) for note in info.notes[-5:]) if info else ""
        text = await self._line(Prompt(f"note to {_named(runs)}", hint="one line", about=before))
        if text and text.strip():
            for run in runs:
                await asyncio.to_thread(add_note, run, text.strip())
            self.tell(f"{_named(runs)}: noted.")

    def value_in_focus(self) -> tuple[str, str | None] | None:
        """What `copy` takes: what it is, and the text of it, None where that is not known; None for nothing."""
        run = self.acting_on()
        return ("the id of the run", run.run_id) if run is not None else None

    def action_copy_value(self) -> None:
        """To the clipboard of the terminal, which OSC 52 reaches through SSH too."""
        found = self.value_in_focus()
        if found is None:
            self.tell("There is nothing to copy here.", trouble=True)
            return
        what, text = found
        if text is None:
            self.tell(f"{what}: n/a, nothing is copied.", trouble=True)
            return
        self.app.copy_to_clipboard(text)
        self.tell(f"copied {what}: {text}")

    def _some(self) -> list[RunDirectory]:
        """The runs that are meant; without one it is said why nothing can be done."""
        found = self.targets()
        if not found:
            why = "it is read from standard input" if self.state.run else "none is chosen"
            self.tell(f"There is no run here that can be asked or labelled: {why}.", trouble=True)
        return found


def _question(live: Sequence[RunSnapshot], asked: int) -> str:
    """What a stop will do to these runs."""
    if len(live) > 1:
        return f"Stop {_those(live, asked)}\nEach saves a checkpoint and ends."
    rest = _over(live, asked)
    one = live[0]
    at = f" It is at step {one.step.step:,}." if one.step is not None else ""
    if not one.directory.config.exists():
        return f"Stop {one.directory.run_id}?{at}\nIts program gets SIGTERM.{rest}"
    how = f"It saves a checkpoint and ends; `tuitrain resume {one.directory.run_id}` continues it."
    return f"Stop {one.directory.run_id}?{at}\n{how}{rest}"


def _those(live: Sequence[RunSnapshot], asked: int) -> str:
    """The number of live runs with a question mark, their names in lines below, and how many others are over."""
    names = "\n".join(f"  {each.directory.run_id}" for each in live[:8])
    more = f"\n  and {len(live) - 8} more" if len(live) > 8 else ""
    return f"{len(live)} run{'s'[: len(live) > 1]}?\n{names}{more}{_over(live, asked)}"


def _over(live: Sequence[RunSnapshot], asked: int) -> str:
    over = asked - len(live)
    return f"\n{over} of the {asked} {'is' if over == 1 else 'are'} over already." if over else ""


def _tags_of(run: RunDirectory) -> list[str]:
    info = run.read_info()
    return list(info.tags) if info else []


def _named(runs: Sequence[RunDirectory]) -> str:
    return runs[0].run_id if len(runs) == 1 else f"{len(runs)} runs"
