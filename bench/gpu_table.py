"""The table of bench/gpu.py on disk: what became of each row, in Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ATTEMPTS = 2
COLUMNS = {
    "batch": "", "tokens/s": ",.0f", "ms/step": ",.1f", "TFLOP/s": ".4g", "MFU": ".1%", "MFU causal": ".1%",
    "of product": ".1%", "peak GB": ".1f", "ready after s": ".1f",
}  # fmt: skip


@dataclass
class Outcome:
    """What became of a row: running, done, died or cut off (by the total time), with what it measured."""

    status: str
    attempts: int = 1
    seconds: float = 0.0
    note: str = ""
    measured: dict[str, Any] = field(default_factory=dict)


class Results:
    """The table, kept on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.facts: dict[str, Any] = {}
        self.rows: dict[str, Outcome] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "gpu.json").exists():
            kept = json.loads((folder / "gpu.json").read_text(encoding="utf-8"))
            self.facts, self.rows = kept["facts"], {name: Outcome(**row) for name, row in kept["rows"].items()}
        for outcome in self.rows.values():
            if outcome.status == "running":
                outcome.status, outcome.note = "died", "this script ended with it"

    def left(self, names: list[str]) -> list[str]:
        """What is still to be run: first what has not been, then what died once."""
        tried = {name for name, outcome in self.rows.items() if outcome.status != "cut off"}
        died = {name for name in tried if self.rows[name].status == "died" and self.rows[name].attempts < ATTEMPTS}
        return [name for name in names if name not in tried] + [name for name in names if name in died]

    def set(self, name: str, outcome: Outcome) -> None:
        """Take what is known of a row and write everything."""
        self.rows[name] = outcome
        if outcome.status != "running":
            print("  ".join(cell for cell in self._cells(name) if cell), flush=True)
        rows = {each: asdict(outcome) for each, outcome in self.rows.items()}
        self._replace("gpu.json", json.dumps({"facts": self.facts, "rows": rows}, indent=1))
        header = ["row", "state", *COLUMNS, "note"]
        table = [header, ["---"] * len(header), *(self._cells(each) for each in self.rows)]
        lines = [*(f"- {key}: {value}" for key, value in self.facts.items()), ""]
        lines += ["| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |" for cells in table]
        self._replace("gpu.md", "\n".join(lines) + "\n")

    def _replace(self, name: str, text: str) -> None:
        half = self._folder / f"{name}.partial"
        half.write_text(text, encoding="utf-8")
        half.replace(self._folder / name)

    def _cells(self, name: str) -> list[str]:
        outcome = self.rows[name]
        measured, product = dict(outcome.measured), self.facts.get("best bf16 product, TFLOP/s")
        if product and measured.get("TFLOP/s"):
            measured["of product"] = measured["TFLOP/s"] / product
        found = ((measured.pop(column, None), form) for column, form in COLUMNS.items())
        cells = [name, f"{outcome.status}, {outcome.seconds:.0f} s"]
        cells += ["" if value is None else format(value, form) for value, form in found]
        more = [f"{key}: {value}" for key, value in measured.items() if value is not None]
        return [*cells, "; ".join(filter(None, [outcome.note, *more]))]
