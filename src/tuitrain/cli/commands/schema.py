"""`tuitrain schema`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from tuitrain.cli.output import print_json


def schema(
    what: Annotated[
        Literal["config", "events", "settings", "json"] | None,
        typer.Argument(help="Only this schema. Default: an object with all of them.", show_default=False),
    ] = None,
) -> None:
    """\b
    Examples:
      tuitrain schema
      tuitrain schema config > tuitrain-config.schema.json
      tuitrain schema events
      tuitrain schema settings
      tuitrain schema json

    Print the JSON Schema of the configuration, of a line of metrics.jsonl, of a settings file, and of --json output.
    """
    # Imported here: `--help` does without.
    from tuitrain.cli.json_output import json_output_schema
    from tuitrain.config import RunConfig
    from tuitrain.events import json_schema

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schemas = {
        "config": dialect | RunConfig.model_json_schema(),
        "events": json_schema(),
        "settings": dialect | settings_schema(),
        "json": dialect | json_output_schema(),
    }
    print_json(schemas[what] if what else schemas)


def settings_schema() -> dict[str, Any]:
    """JSON Schema of a settings file."""
    import msgspec

    from tuitrain.alerts.rules_file import rules_schema
    from tuitrain.launch.slurm.settings import table_schema
    from tuitrain.tui.registry import ACTIONS
    from tuitrain.tui.settings import TABLE, Settings

    screens = msgspec.json.schema(Settings)["$defs"]["Settings"]
    key = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    descriptions = {action.id: {**key, "description": action.help} for action in ACTIONS}
    screens["properties"]["keys"] |= {"properties": descriptions, "additionalProperties": False}
    rules = rules_schema()
    names = {"type": "object", "additionalProperties": {"type": "string"}, "description": "NAME = OURS of metrics"}
    hosts = {"type": "array", "items": {"type": "string"}, "description": "other machines: HOST or HOST:PATH"}
    properties = {
        "runs_dir": {"type": "string", "description": "where runs lie"},
        "hosts": hosts,
        "queue_slots": {"type": "integer", "minimum": 1, "description": "processes of queued runs at once on the CPUs"},
        "usd_per_gpu_hour": {"type": "number", "minimum": 0, "description": "what a GPU-hour costs"},
        "map": names, "alerts": rules, "slurm": table_schema(), TABLE: screens,
    }  # fmt: skip
    return {"type": "object", "properties": properties, "additionalProperties": False, "$defs": rules.pop("$defs")}
