"""Logs to fuzz: those of every format of other tools, and our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.fuzz.target import Case, Seed, Target
from tests.support import write_own_metrics, write_run
from tuitrain.alerts import load_rules, watched_history
from tuitrain.analysis.compare import compare_runs
from tuitrain.audit import audit_run
from tuitrain.cli.commands import ls
from tuitrain.cli.output import print_json, print_rows
from tuitrain.cli.run_view import full_json, run_json, sections, status_line
from tuitrain.export.tables import render_comparison
from tuitrain.readers.discover import sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.model import Source
from tuitrain.runs import RunDirectory, RunHistory, RunSnapshot, read_snapshot
from tuitrain.runs.foreign import run_of
from tuitrain.runs.snapshot import read_whole
from tuitrain.text import print_coloured
from tuitrain.tui.frame import render_frame

CORPUS = Path(__file__).parents[1] / "data/corpus"
OWN = "tuitrain"
_LITGPT = (
    "Epoch 1 | iter {0} step {0} | loss train: 4.361, val: n/a | iter time: 19.96 ms (step) remaining time: 0:00:05\n"
    "iter {0}: val loss 4.2, val time: 123.45 ms\n"
)
_COMPOSER = "[batch={0}/40]:\n\t Train loss/train/total: 2.5\n\t Train lr-DecoupledAdamW/group0: 0.0003\n"
_MOST_FILES = 40


def log_targets(kept: Path) -> Iterator[Target]:
    """A target for each format. kept: an empty folder for the seeds that the corpus lacks."""
    by_format: dict[str, list[Seed]] = {name: [] for name in BY_NAME}
    for folder in [*sorted(CORPUS.glob("*/data")), *_made_logs(kept)]:
        for source in sources_of(folder):
            files = sorted({file.relative_to(folder) for file in source.files} | set(_files_in(folder, source)))
            by_format[source.format].append(Seed(folder, files, source))
    for name, seeds in by_format.items():
        if seeds:
            yield Target(name, seeds, _show_log)
    yield Target(OWN, [*_own_seeds(kept / "runs")], _show_own)


def console_seeds() -> list[Seed]:
    """The consoles of the corpus."""
    found = ((folder, source) for folder in sorted(CORPUS.glob("*/data")) for source in sources_of(folder))
    return [
        Seed(folder, [file.relative_to(folder) for file in source.files], source)
        for folder, source in found
        if source.format.endswith("-console") or source.format == "fairseq-json"
    ]


def _files_in(folder: Path, source: Source) -> Iterator[Path]:
    """Further files of a run that is a folder, a few of them."""
    files = sorted(source.path.rglob("*")) if source.path.is_dir() else []
    for file in files[:_MOST_FILES]:
        if file.is_file():
            yield file.relative_to(folder)


def _made_logs(kept: Path) -> Iterator[Path]:
    """Logs of the formats that the corpus has none of."""
    for name, text in (
        ("litgpt", "".join(map(_LITGPT.format, range(1, 40))) + "Training time: 12.34s\n"),
        ("composer", "".join(map(_COMPOSER.format, range(1, 41)))),
        ("plain", "".join(f"step {at}: loss {5 / at:.4f} acc 0.{at:02d}\n" for at in range(1, 60))),
    ):
        (kept / name).mkdir(parents=True)
        (kept / name / "train.log").write_text(text)
        yield kept / name
    with suppress(ImportError):
        import pyarrow as pa
        import pyarrow.parquet as pq

        (kept / "parquet").mkdir()
        table = {"step": [*range(50)], "train/loss": [5 / (1 + at) for at in range(50)], "note": ["a"] * 50}
        pq.write_table(pa.table(table), kept / "parquet/log.parquet")
        yield kept / "parquet"


def _show_log(case: Case) -> None:
    """Show a log of another tool, as its content says or as the format that it was; at times half of it comes first."""
    of, intact = case.of, case.seed.source
    assert intact is not None

    def moved(path: Path) -> Path:
        return case.folder / path.relative_to(case.seed.folder)

    path = moved(intact.path)
    found = sources_of(of.choice((path, case.folder)))[:2] if of.random() < 0.3 else []
    for source in found or [Source(intact.format, path, intact.name, tuple(map(moved, intact.files)), intact.key)]:
        reader = BY_NAME[source.format].open(source)
        if of.random() < 0.3:
            whole = case.file.read_bytes()
            case.file.write_bytes(whole[: of.randrange(len(whole) + 1)])
            with suppress(OSError):
                reader.poll()
            case.file.write_bytes(whole)
        run = run_of(source)
        _show_run(run, *read_whole(run, reader, watched_history(load_rules())), of)


def show_path(path: Path, of: Random) -> None:
    """Show each run at a path, of ours or of another tool."""
    runs = [RunDirectory(path)] if (path / "metrics.jsonl").exists() else [run_of(each) for each in sources_of(path)]
    for run in runs:
        _show_run(run, *read_whole(run, history=watched_history(load_rules())), of)


def _own_seeds(runs: Path) -> Iterator[Seed]:
    """Runs of ours, with each of their files; most cases are of the log."""
    write_run(runs, "fuzzed", steps=60)
    write_run(runs, "other", steps=30, status=None)
    write_own_metrics(runs, "own", [{"reward/mean": at / 10, "kl": None if at % 3 else 0.1} for at in range(40)])
    for run in sorted(runs.iterdir()):
        files = [Path(name) for name in ("run.json", "console.log", "config.toml") if (run / name).exists()]
        yield Seed(run, [*files, *[Path("metrics.jsonl")] * 6])


def _show_own(case: Case) -> None:
    run = RunDirectory(case.folder)
    print(status_line(read_snapshot(run)))
    _show_run(run, *read_whole(run, history=watched_history(load_rules())), case.of)
    if case.of.random() < 0.2:
        for name, finding in audit_run(run).findings:
            print(name, finding)


def _show_run(run: RunDirectory, snapshot: RunSnapshot, history: RunHistory, of: Random) -> None:
    """What `status`, `ls` and `show` print; of one in twenty the frame of `watch --once`, JSON, a comparison."""
    print(status_line(snapshot))
    ls._print([run_json(snapshot)])
    for title, rows in sections(snapshot, history).items():
        if rows:
            print(f"\n{title}")
            print_rows(rows)
    if of.random() < 0.05:
        print_json(full_json(snapshot, history))
    if of.random() < 0.05:
        colour = of.random() < 0.5
        (print_coloured if colour else print)(render_frame([history], of.choice((80, 120, 200)), 40, colour))
    if of.random() < 0.03:
        comparison = compare_runs([(snapshot.name, history), ("same", history)])
        for form in ("table", "markdown", "csv", "latex"):
            print(render_comparison(comparison, form, 120, False, [run.run_id, "same"]))
