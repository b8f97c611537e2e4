"""The texts that a model wrote during training, as JSON or Markdown."""

from __future__ import annotations

from pathlib import Path

from tuitrain.export.blocks import Block, Heading, Verbatim
from tuitrain.export.documents import json_text, open_text
from tuitrain.export.errors import ExportError
from tuitrain.export.markdown import markdown
from tuitrain.runs import RunHistory

FORMATS = ("json", "markdown")


def export_samples(run_id: str, history: RunHistory, fmt: str, out: Path | None = None) -> str:
    """The texts of a run from the first to the newest, also written to `out` if given.

    JSON has them as they are, Markdown without control characters. Raises ExportError for an unknown format and a run
    that wrote none.
    """
    if fmt not in FORMATS:
        raise ExportError(f"{fmt!r} is not a format of samples; known: {', '.join(FORMATS)}.")
    if not history.samples:
        raise ExportError(f"{run_id} wrote no texts: sampling.interval sets after how many steps it does.")
    name = history.run.name if history.run else run_id
    if fmt == "json":
        samples = [
            {"step": each.step, "time": each.time, "prompt": each.prompt, "text": each.text} for each in history.samples
        ]
        text = json_text({"run_id": run_id, "name": name, "samples": samples})
    else:
        blocks: list[Block] = [Heading(f"Samples of {name}", 1)]
        for each in history.samples:
            blocks += [Heading(f"Step {each.step:,}"), Verbatim(f"{each.prompt}{each.text}")]
        text = markdown(blocks, Path())
    if out is not None:
        with open_text(out) as file:
            file.write(text)
    return text
