"""`tuitrain audit`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import Column, print_json, print_rows, print_table, text_area
from tuitrain.text import clean

if TYPE_CHECKING:
    from tuitrain.audit import Audit
    from tuitrain.runs import RunDirectory

STYLES = {"impossible": "bold red", "suspicious": "yellow"}
LEAST_WIDTH = 40
"""Columns of a message, however narrow the terminal is."""


def audit(
    runs: options.Runs,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also what agrees, and what was not checked and why.")
    ] = False,
    maps: options.Map = None,
    facts: options.Set = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain audit latest
      tuitrain audit out/run_20250103.json -v
      tuitrain audit train.log --set gpu=A100 --set params=124M
      tuitrain audit runs/ --json

    Check that the numbers of a log agree with each other; of any tool. docs/audit.md lists the checks.

    A finding says which numbers cannot all be true, by how much, and which is likelier. Exit code: 1 when something is
    impossible, 0 otherwise, also when something is only suspicious.
    """
    # Imported here: `--help` does without.
    from tuitrain.audit import audit_run

    audits = [(run, audit_run(run)) for run in find_runs(runs, runs_dir, maps, facts)]
    if as_json:
        print_json([_as_json(run, outcome) for run, outcome in audits])
    else:
        for number, (run, outcome) in enumerate(audits):
            if number:
                print()
            _print(run, outcome, verbose)
    raise typer.Exit(any(outcome.count("impossible") for _, outcome in audits))


def _as_json(run: RunDirectory, outcome: Audit) -> dict[str, Any]:
    findings = [
        {
            "check": name,
            "severity": finding.severity,
            "message": finding.message,
            "likelier": finding.likelier or None,
            "values": dict(finding.values),
            "first_step": finding.steps[0] if finding.steps else None,
            "last_step": finding.steps[1] if finding.steps else None,
        }
        for name, finding in outcome.findings
    ]
    return {
        "run_id": run.run_id,
        "path": str(run.metrics.absolute()),
        "impossible": outcome.count("impossible"),
        "suspicious": outcome.count("suspicious"),
        "findings": findings,
        "agreeing": list(outcome.agreeing),
        "not_checked": dict(outcome.not_checked),
    }


def _print(run: RunDirectory, outcome: Audit, verbose: bool) -> None:
    from tuitrain.audit import CHECKS

    print(clean(f"{run.run_id}  {outcome.summary}"))
    if outcome.findings:
        _print_findings(outcome)
    if verbose:
        compares = {check.name: check.compares for check in CHECKS}
        print_rows([(name, f"agrees: {compares[name]}") for name in outcome.agreeing])
        print_rows([(name, f"not checked: {reason}") for name, reason in outcome.not_checked.items()])


def _print_findings(outcome: Audit) -> None:
    """A table whose messages are wrapped; a terminal's columns count."""
    names = max(len(name) for name, _ in outcome.findings)
    width = max(text_area()[0] - len("impossible") - names - 4, LEAST_WIDTH)
    rows = []
    for name, finding in outcome.findings:
        lines = [line for each in finding.sentences for line in textwrap.wrap(clean(each), width)]
        rows += [(finding.severity, name, lines[0]), *(("", "", line) for line in lines[1:])]
    severities, checks, messages = zip(*rows, strict=True)
    print_table([Column("severity", severities, styles=STYLES), Column("check", checks), Column("finding", messages)])
