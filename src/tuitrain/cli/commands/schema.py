"""`tuitrain schema`."""

from __future__ import annotations

from typing import Annotated, Literal

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
    from tuitrain.tui.settings import settings_schema

    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schemas = {
        "config": dialect | RunConfig.model_json_schema(),
        "events": json_schema(),
        "settings": dialect | settings_schema(),
        "json": dialect | json_output_schema(),
    }
    print_json(schemas[what] if what else schemas)
