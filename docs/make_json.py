"""Makes docs/json.md from the models of what --json prints, against which the tests hold every command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuitrain.cli.json_output import json_output_schema

HEAD = """# JSON output

What `--json` prints, command by command; `tuitrain schema json` prints the same as JSON Schema. Made by
`python docs/make_json.py`.

Data go to stdout, talk to stderr. Unknown is `null`; numbers that JSON lacks are the strings `"nan"`, `"inf"` and
`"-inf"`, except in the `metrics` that `show` gives of another tool's log: there they are `"NaN"`, `"Infinity"` and
`"-Infinity"`, as other tools write them. Units stand in the names: `_s` seconds, `_gb` 10⁹ bytes, `_bytes`; times are
Unix seconds, shares lie in 0-1. Runs go by their `run_id`. `presets NAME` prints the configuration of a preset,
`export comparison`, `export samples` and `export metrics --format json` print documents of their own; `watch` has no
JSON.
"""


def page() -> str:
    """docs/json.md."""
    schema = json_output_schema()
    lines = [HEAD.rstrip(), "", "| command | prints |", "|---|---|"]
    lines += [
        f"| `{command}` | {_kind(what)}{': ' + what['description'] if 'description' in what else ''} |"
        for command, what in schema["properties"].items()
    ]
    for name, model in schema["$defs"].items():
        lines += ["", f"## {name}", "", model.get("description", ""), "", "| key | type | |", "|---|---|---|"]
        lines += [
            f"| `{key}` | {_kind(what)} | {what.get('description', '')} |" for key, what in model["properties"].items()
        ]
    return "\n".join(lines) + "\n"


def _kind(what: dict[str, Any]) -> str:
    """A type in words."""
    if "$ref" in what:
        name = what["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in what:
        return " or ".join(dict.fromkeys(_kind(one) for one in what["anyOf"]))
    if "enum" in what:
        return " ".join(f'`"{value}"`' for value in what["enum"])
    if "const" in what:
        return f'`"{what["const"]}"`'
    match what.get("type"):
        case "array":
            return f"list of {_kind(what['items'])}" if "items" in what else "list"
        case "object":
            inner = what.get("additionalProperties")
            return f"object of {_kind(inner)}" if isinstance(inner, dict) else "object"
        case "integer":
            return "whole number"
        case None:
            return "any"
        case kind:
            return {"string": "text", "boolean": "true or false"}.get(kind, kind)


if __name__ == "__main__":
    (Path(__file__).resolve().parent / "json.md").write_text(page(), encoding="utf-8")
