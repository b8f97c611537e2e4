"""`tuitrain presets`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_preset
from tuitrain.cli.output import Column, print_json, print_table


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this preset's TOML.", autocompletion=complete_preset),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """\b
    Examples:
      tuitrain presets
      tuitrain presets llama2-tiny > my-run.toml

    List the presets with their size and whether they fit this machine, or print one.
    """
    # Imported here: `--help` does without.
    from tuitrain.config import all_presets, find_preset, load_config
    from tuitrain.launch.machine import find_machine, training_device
    from tuitrain.launch.plan import make_plan
    from tuitrain.launch.plan_view import memory_json, parameters_json

    if name is not None:
        preset = find_preset(name)
        if as_json:
            return print_json(load_config(preset.name).to_dict())
        print(preset.path.read_text(encoding="utf-8"), end="")
        return None
    machine = find_machine()
    rows: list[dict[str, Any]] = []
    for each in all_presets().values():
        config = load_config(each.name)
        made = make_plan(config, training_device(config, machine))
        row: dict[str, Any] = {"name": each.name, "aliases": list(each.aliases), "title": each.title}
        row |= {"architecture": config.model.architecture_name, "parameters": parameters_json(made)}
        rows.append(row | {"memory_bytes": memory_json(made), "fits": made.fits})
    return print_json(rows) if as_json else _print(rows)


def _print(rows: list[dict[str, Any]]) -> None:
    from tuitrain.analysis import units

    counts = [row["parameters"] for row in rows]
    memories = [row["memory_bytes"] for row in rows]
    fits = {True: "yes", False: "no", None: units.UNKNOWN}
    print_table(
        [
            Column("name", [row["name"] for row in rows]),
            Column("also", [", ".join(row["aliases"]) for row in rows], rank=6),
            Column("parameters", [units.count(each["total"]) if each else units.UNKNOWN for each in counts], "right"),
            Column("memory", [units.gigabytes(each["total"] / 1e9) if each else units.UNKNOWN for each in memories],
                   "right"),
            Column("fits here", [fits[row["fits"]] for row in rows]),
            Column("architecture", [row["architecture"] for row in rows], rank=7),
            Column("title", [row["title"] for row in rows], rank=8),
        ]
    )  # fmt: skip
