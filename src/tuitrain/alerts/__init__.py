"""Alerts: what a person should know about a run, derived from its records and from nothing else."""

from tuitrain.alerts.monitor import AlertMonitor
from tuitrain.alerts.rules import LEVELS, Level, Rules
from tuitrain.alerts.rules_file import load_rules
from tuitrain.runs import RunHistory

__all__ = ["LEVELS", "AlertMonitor", "Level", "Rules", "load_rules", "watched_history"]


def watched_history(rules: Rules) -> RunHistory:
    """An empty history whose alerts are those that these rules find, and those of the log."""
    return RunHistory(lambda: AlertMonitor(rules))
