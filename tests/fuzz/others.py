"""What is fuzzed besides logs: console lines, configurations, settings, answers of other machines, checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.fuzz.logs import console_seeds
from tests.fuzz.mutations import mutated
from tests.fuzz.target import Case, Seed, Target
from tests.support import PINNED
from tuitrain.accounting import GPUS
from tuitrain.alerts import load_rules
from tuitrain.cli.output import print_rows
from tuitrain.config import all_presets, load_config
from tuitrain.launch.machine import gpu_by_name
from tuitrain.launch.plan import make_plan
from tuitrain.launch.plan_view import plan_rows
from tuitrain.remote import agent
from tuitrain.remote.connection import Connection, RemoteError
from tuitrain.remote.mirrored_file import MirroredFile, Want
from tuitrain.runs.console import ConsoleFile
from tuitrain.runs.crash import cause_in, last_lines
from tuitrain.runs.stream import StreamRecords
from tuitrain.settings import USER_FILE, price_setting, queue_slots, runs_dir_setting
from tuitrain.tui.settings import load_settings

SETTINGS = """
runs_dir = "runs"
queue_slots = 2
usd_per_gpu_hour = 2.5
hosts = ["node1:runs", "me@node2:/data/runs"]

[map]
"train/loss" = "loss"

[tui]
theme = "textual-dark"
x = "tokens"
smoothing = 0.9
refresh_s = 1.0
layout = "mine"

[tui.keys]
quit = "q"

[tui.layouts]
mine = ["loss", "mfu lr"]

[alerts]
stall = {after_s = 600, level = "warning"}
mfu_drop = false

[alerts.when]
high = "loss > 5 for 10 steps"
"""


def other_targets(kept: Path) -> Iterator[Target]:
    """All but the checkpoints, for which torch is imported. kept: an empty folder for the seeds."""
    yield Target("console lines", console_seeds(), _show_lines)
    yield Target("config.toml", [_config_seed(kept / "configs")], _show_config)
    yield Target("settings", [_seed(kept / "settings", {USER_FILE: SETTINGS.encode()})], _show_settings)
    yield Target("answers over ssh", [_seed(kept / "ssh", {"answers": _answers()})], _show_answers)


def checkpoint_target(kept: Path) -> Target:
    """Indices of checkpoints as torch writes them, and their checksums."""
    import torch
    import torch.distributed.checkpoint as dcp

    from tuitrain_engine.checkpoint import checksums
    from tuitrain_engine.checkpoint.index import CheckpointError, covered, read_index
    from tuitrain_engine.checkpoint.storage import damage

    folder = kept / "step-00000010"
    state = {"model": {f"layers.{at}.weight": torch.zeros(4, 8) for at in range(12)}, "loop": torch.zeros(40).byte()}
    dcp.save(state, storage_writer=dcp.FileSystemWriter(folder), no_dist=True)
    checksums.write(folder)

    def show(case: Case) -> None:
        if case.file.name == ".metadata":
            index = read_index(case.folder)
            print(
                sorted(index.state_dict_metadata),
                [covered(each) for each in index.state_dict_metadata.values() if hasattr(each, "chunks")],
            )
            (case.folder / checksums.NAME).unlink(missing_ok=True)
        print(damage(case.folder))

    files = [Path(".metadata")] * 4 + [Path(checksums.NAME)]
    return Target("checkpoint index", [Seed(folder, files)], show, (CheckpointError,))


def _seed(folder: Path, files: dict[str, bytes]) -> Seed:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Seed(folder, [Path(name) for name in files])


def _show_lines(case: Case) -> None:
    """Console lines as `watch -` and the wrapper of `launch -- COMMAND` read them, on the log screen, after a crash."""
    of, data, records = case.of, case.file.read_bytes(), StreamRecords()
    cuts = sorted(of.randrange(len(data) + 1) for _ in range(of.choice((0, 1, 5, 30))))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        for line in records.feed(data[start:end]).broken[:5]:
            print(line.number, line.reason)
    print(*records.console[-20:], sep="\n")
    console = ConsoleFile(case.file)
    for each in [*console.lines_from(of.choice((0, len(data) // 2)), 50), *console.last_lines(50)]:
        print(each.text)
    print(cause_in(last_lines(case.file)))


def _config_seed(folder: Path) -> Seed:
    configs = {f"{name}.toml": load_config(name).to_toml().encode() for name in all_presets()}
    return _seed(folder, configs)


def _show_config(case: Case) -> None:
    """A configuration that is planned, and words of overrides."""
    of = case.of
    word = mutated(of.choice(PINNED).encode(), of, lambda: b"model.n_layers=4").decode("utf-8", "replace")
    config = load_config(str(case.file), (word,) if of.random() < 0.3 else ())
    print(config.to_toml())
    device = gpu_by_name(GPUS[0].name)
    assert device is not None
    print_rows(plan_rows(make_plan(config, device, gpus=of.choice((1, 8)))))


def _show_settings(case: Case) -> None:
    before = os.environ.get("TUITRAIN_CONFIG_DIR")
    os.environ["TUITRAIN_CONFIG_DIR"] = str(case.folder)
    try:
        print(load_settings(), load_rules(), queue_slots(), price_setting(), runs_dir_setting())
    finally:
        os.environ.pop("TUITRAIN_CONFIG_DIR") if before is None else os.environ.update(TUITRAIN_CONFIG_DIR=before)


def _answers() -> bytes:
    """What the loop on another machine sends: its greeting, a listing, and the answers for two files."""
    listing = "".join(f"{at} {at * 10} 1700000000 ./run-{at}/metrics.jsonl\n" for at in range(1, 9)).encode()
    text = b'{"type":"step","step":1,"loss":2.0}\n' * 20
    return b"".join((
        b"Last login: today\n", agent.GREETING, b"\nc d\n", b"l r\n", listing, b".\n",
        b"g 7 %d 1700000000 0 %d r\n" % (len(text), len(text)), text,
        b"g 7 %d 1700000005 656 %d r\n" % (len(text) + 40, 104), text[656:], text[:40], b"r 0\n",
    ))  # fmt: skip


class _Answered(Connection):
    """A connection to a machine that has sent these bytes, and then ends."""

    def __init__(self, data: bytes, of: Random) -> None:
        self.host, self._buffer, self._greeted = "node1", bytearray(), False
        self._data, self._of = data, of

    def _receive(self) -> None:
        if not self._data:
            raise RemoteError(self.host, "the connection was lost")
        size = self._of.choice((1, 10, 1000, 32 << 10))
        self._buffer += self._data[:size]
        self._data = self._data[size:]


def _show_answers(case: Case) -> None:
    for name in ("view", "part"):
        (case.folder / "mirror" / name).unlink(missing_ok=True)
    show_answers(case.file.read_bytes(), case.folder, case.of)


def show_answers(data: bytes, folder: Path, of: Random) -> None:
    """Take the answers of another machine for a listing and a file, which is mirrored below a folder."""
    connection = _Answered(data, of)
    mirrored = MirroredFile(folder / "mirror/view", folder / "mirror/part")
    print(connection.change())
    for name, file in connection.listing().items():
        print(name, file)
    for want in (Want(newest_first=True), Want()):
        mirrored.receive(connection.answer(), want)
        print(mirrored.state, mirrored.next_ranges(want, 1 << 10))
    print(connection.made())
