"""`tuitrain presets`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tuitrain.cli.completion import complete_preset
from tuitrain.cli.options import JsonOption
from tuitrain.cli.output import UNKNOWN, Column, print_json, print_table


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this preset's TOML.", autocompletion=complete_preset,
                       show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain presets
      tuitrain presets llama2-tiny > my-run.toml

    List the presets with their size and whether they fit this machine, or print one.
    """
    from tuitrain.config import find_preset

    if name is not None:
        preset = find_preset(name)
        if as_json:
            from tuitrain.config import load_config

            return print_json(load_config(preset.name).to_dict())
        print(preset.path.read_text(encoding="utf-8"), end="")
        return None
    rows = _rows()
    if as_json:
        return print_json(rows)
    return _print(rows)


def _rows() -> list[dict[str, Any]]:
    from tuitrain.config import all_presets, load_config
    from tuitrain.launch.machine import find_machine, training_device
    from tuitrain.launch.plan import make_plan
    from tuitrain.launch.plan_view import memory_json, parameters_json

    machine = find_machine()
    rows = []
    for preset in all_presets().values():
        config = load_config(preset.name)
        plan = make_plan(config, training_device(config, machine))
        rows.append(
            {
                "name": preset.name,
                "aliases": list(preset.aliases),
                "title": preset.title,
                "architecture": config.model.architecture_name,
                "parameters": parameters_json(plan),
                "memory_bytes": memory_json(plan),
                "fits": plan.fits,
            }
        )
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    from tuitrain.analysis import units

    words = {True: "yes", False: "no", None: UNKNOWN}
    columns = [
        Column("name"),
        Column("also", rank=6),
        Column("parameters", "right"),
        Column("memory", "right"),
        Column("fits here"),
        Column("architecture", rank=7),
        Column("title", rank=8),
    ]
    print_table(
        columns,
        [
            [
                row["name"],
                ", ".join(row["aliases"]),
                units.count(row["parameters"]["total"]) if row["parameters"] is not None else UNKNOWN,
                units.gigabytes(row["memory_bytes"]["total"] / 1e9) if row["memory_bytes"] is not None else UNKNOWN,
                words[row["fits"]],
                row["architecture"],
                row["title"],
            ]
            for row in rows
        ],
    )
