"""`tuitrain doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from tuitrain.cli import options
from tuitrain.cli.output import has_colour, print_json, styled
from tuitrain.events.text import clean, print_coloured

_STYLES = {"ok": "green", "warn": "yellow", "missing": "red"}


def doctor(as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain doctor
      tuitrain doctor --json

    Check what is installed on this machine, what is missing, and how to correct it. Exit code 1 when a requirement is
    missing.
    """
    # Imported here: `--help` does without.
    from tuitrain.launch.doctor import examine
    from tuitrain.runs import runs_directory

    findings = examine(runs_directory(runs_dir))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        width, color = max(len(finding.name) for finding in findings), has_colour()
        for finding in findings:
            level = styled(f"{finding.level:<8}", _STYLES[finding.level], color)
            print_coloured(f"  {level}{clean(f'{finding.name:<{width}}  {finding.detail}')}")
            if finding.advice:
                print(f"{'':<{width + 12}}{finding.advice}")
    if any(finding.level == "missing" for finding in findings):
        raise typer.Exit(1)
