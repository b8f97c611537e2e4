"""Whether the numbers of a log agree with each other: one function a check, in `checks.CHECKS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuitrain.audit.audited_log import AuditedLog
from tuitrain.audit.checks import CHECKS
from tuitrain.audit.finding import Finding, NotCheckedError, Severity
from tuitrain.audit.record_order import RecordOrder, read_in_order
from tuitrain.runs import RunDirectory, RunHistory

__all__ = ["CHECKS", "Audit", "Finding", "RecordOrder", "Severity", "audit", "audit_run"]


@dataclass(frozen=True)
class Audit:
    """The outcome of all checks of a run: findings with the name of their check, and why others were not checked."""

    findings: tuple[tuple[str, Finding], ...]
    agreeing: tuple[str, ...]
    not_checked: Mapping[str, str]

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for _, finding in self.findings)

    @property
    def summary(self) -> str:
        """Findings by severity, and how many checks agree: `1 impossible, 17 of 19 checks agree`."""
        severities: tuple[Severity, ...] = ("impossible", "suspicious")
        counts = [f"{count} {severity}" for severity in severities if (count := self.count(severity))]
        counts.append(f"{len(self.agreeing)} of {len(CHECKS)} checks agree")
        return ", ".join(counts + [f"{len(self.not_checked)} not checked"] * bool(self.not_checked))


def audit(history: RunHistory, order: RecordOrder | None = None) -> Audit:
    """Check a run against itself. order: that of its records, without which some irregularities cannot be detected."""
    log = AuditedLog(history, order)
    findings: list[tuple[str, Finding]] = []
    agreeing, not_checked = [], {}
    for check in CHECKS:
        by_message: dict[str, Finding] = {}
        try:
            # Rows without a value, or with one that cannot be, are left out after the arithmetic.
            with np.errstate(all="ignore"):
                for finding in check.find(log):
                    # Attempts with the same configuration have the same findings.
                    by_message.setdefault(finding.message, finding)
        except NotCheckedError as missing:
            not_checked[check.name] = str(missing)
            continue
        agreeing += [] if by_message else [check.name]
        findings += [(check.name, finding) for finding in by_message.values()]
    findings.sort(key=lambda each: each[1].severity != "impossible")
    return Audit(tuple(findings), tuple(agreeing), not_checked)


def audit_run(run: RunDirectory) -> Audit:
    """The same for a run on disk. Raises FileNotFoundError when it has no log."""
    return audit(*read_in_order(run))
