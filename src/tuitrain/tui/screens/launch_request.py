"""The run that is being put together on the launch screen: what is filled in, what it comes to, and its start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tuitrain.tui.screens.page import BaseScreen

if TYPE_CHECKING:
    from subprocess import Popen

    from textual.worker import Worker

    from tuitrain.launch.machine import Machine
    from tuitrain.launch.plan import Plan
    from tuitrain.launch.request import Field, LaunchPreview, PresetInfo

DEBOUNCE_S = 0.12


class LaunchRequestScreen(BaseScreen):
    """The state of the form. Everything that reads files or works something out does so in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.preset_infos: list[PresetInfo] | None = None
        self.fields: tuple[Field, ...] = ()
        self.preset = ""
        self.changes: dict[str, str] = {}
        self.preview: LaunchPreview | None = None
        """The newest that is known; `stale` while it is worked out anew."""
        self.stale = True
        self.plan: Plan | None = None
        """The newest plan that there was, while a key is wrong."""
        self.originals: dict[str, Mapping[str, str]] = {}
        """The texts of each preset as it is, by its name."""
        self._machine: Machine | None = None
        self._starting = False
        self._processes: list[Popen[bytes]] = []

    async def load(self) -> None:
        """Read the presets, in a thread: what that imports takes its time."""
        self.preset_infos, self.fields, self._machine = await asyncio.to_thread(_read)
        if self.preset_infos and not self.preset:
            self.preset = self._likely(self.preset_infos)
        self.changed()

    def _likely(self, preset_infos: Sequence[PresetInfo]) -> str:
        """The preset to begin with: that of the run in focus, else the first that fits this machine."""
        run = self.state.run.history.run if self.state.run else None
        used = run.config.get("preset") if run is not None else None
        ranked = (
            [each for each in preset_infos if each.name == used]
            or [each for each in preset_infos if each.fits]
            or preset_infos
        )
        return ranked[0].name

    @property
    def command(self) -> str:
        """The command line that does the same."""
        from tuitrain.launch.request import LaunchRequest
        from tuitrain.runs import runs_directory

        usual = self.app.runs_dir.absolute() == runs_directory(None).absolute()
        return LaunchRequest(self.preset, self.changes).command(None if usual else self.app.runs_dir)

    def changed(self) -> None:
        """Work the request out anew, in a thread and not at each keystroke; what is on the screen stays until then."""
        self.stale = True
        if self.fields:
            _: Worker[None] = self.run_worker(self._work_out, group="plan", exclusive=True)
        self.draw()

    async def _work_out(self) -> None:
        from tuitrain.launch.request import LaunchRequest, preview

        await asyncio.sleep(DEBOUNCE_S)
        preset = self.preset
        if preset not in self.originals:
            plain = await asyncio.to_thread(preview, LaunchRequest(preset), self._machine)
            if plain.config is not None:
                self.originals[preset] = plain.values
        self.preview = await asyncio.to_thread(preview, LaunchRequest(preset, dict(self.changes)), self._machine)
        self.plan = self.preview.plan or self.plan
        self.stale = False
        self.draw()

    def set_field(self, key: str, text: str) -> None:
        """Fill a key in; nothing, or what the preset says, is the preset's again."""
        if not text.strip() or text == self.originals.get(self.preset, {}).get(key):
            self.changes.pop(key, None)
        else:
            self.changes[key] = text.strip()
        self.changed()

    def action_copy_command(self) -> None:
        self.app.copy_to_clipboard(self.command)
        self.tell(f"copied: {self.command}")

    def action_start_run(self) -> None:
        if not self._starting and self.preset:
            self._starting = True
            _: Worker[None] = self.run_worker(self._start, group="start")

    async def _start(self) -> None:
        from tuitrain.config import ConfigError, UnknownPresetError
        from tuitrain.launch import LaunchError
        from tuitrain.launch.request import LaunchRequest, start

        problem: str | None = None
        started: Any = None
        try:
            started = await asyncio.to_thread(start, LaunchRequest(self.preset, dict(self.changes)), self.app.runs_dir)
        except (ConfigError, LaunchError) as error:
            problem = str(error)
        except UnknownPresetError as error:
            problem = str(error.args[0])
        except OSError as error:
            problem = f"{error.filename}: {error.strerror or error}."
        finally:
            self._starting = False
        if problem is not None:
            self.tell(problem, trouble=True)
            return
        # Kept, so that a run that ends while the screens are open is no zombie's warning.
        self._processes.append(started.process)
        self.app.open_runs([started.run], "watch")
        self.tell(f"started {started.run.run_id}. {started.note or ''}".strip())


def _read() -> tuple[list[PresetInfo], tuple[Field, ...], Machine]:
    """The presets, what can be filled in, and this machine; from a thread."""
    from tuitrain.launch.machine import find_machine
    from tuitrain.launch.request import fields, preset_infos

    machine = find_machine()
    return preset_infos(machine), fields(), machine
