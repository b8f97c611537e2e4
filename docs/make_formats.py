"""Writes the table of formats in docs/any-run.md from the declarations of the readers."""

from __future__ import annotations

from pathlib import Path

from tuitrain.readers.formats import FORMATS

PAGE = Path(__file__).resolve().parent / "any-run.md"
BEGIN, END = "<!-- formats: made by docs/make_formats.py -->\n", "<!-- end of formats -->\n"


def table() -> str:
    """A row for each format: its name, what it is, one command."""
    rows = [
        # A pipe within a command would end the cell.
        f"| {each.title} | `{each.name}` | `{each.example.replace('|', chr(92) + '|')}` |"
        for each in sorted(FORMATS, key=lambda each: each.title.casefold())
    ]
    return "\n".join(["| what | format | for example |", "|---|---|---|", *rows]) + "\n"


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
