"""What is done about an alert, for rules that ask for it: a request to the run, a command."""

from __future__ import annotations

from tuitrain.alerts import Rules
from tuitrain.alerts.rules import Action
from tuitrain.analysis import units
from tuitrain.checks.notify import Command, Message, NotifyError
from tuitrain.checks.watcher import NewAlert
from tuitrain.events import Alert
from tuitrain.files import os_error_text
from tuitrain.launch import LaunchError
from tuitrain.launch.requests import send_request
from tuitrain.launch.stop import stop_run
from tuitrain.runs import RunDirectory, command_for
from tuitrain.text import clean


def message_of(run: RunDirectory, alert: Alert) -> Message:
    """The message on an alert of a run."""
    run_id = clean(run.run_id)
    at = "" if alert.step is None else f", step {alert.step:,}"
    where = f"{run_id}{at}, {units.moment(alert.time, '%d %b %H:%M:%S')}"
    body = "\n".join((clean(alert.message), where, command_for("watch", run)))
    facts = {
        "RUN_ID": run_id,
        "RUN_PATH": str(run.metrics.absolute() if run.source is not None else run.path.absolute()),
        "LEVEL": alert.level,
        "CODE": clean(alert.code),
        "MESSAGE": clean(alert.message),
        "STEP": "" if alert.step is None else str(alert.step),
        "TIME": f"{alert.time:.3f}",
    }
    return Message(
        f"tuitrain {alert.level}: {run_id}", body, {f"TUITRAIN_ALERT_{name}": value for name, value in facts.items()}
    )


def check_commands(rules: Rules) -> None:
    """Raise SettingsError for a rule whose command is no command line."""
    for rule in rules.all_rules():
        if rule.command:
            Command(rule.command)


def act(new: NewAlert, rules: Rules) -> list[str]:
    """Do what the rule of an alert asks for; returns sentences on what was done, or could not be."""
    rule = rules.rule_of(new.alert.code)
    if rule is None or not new.fresh:
        return []
    done = [_request(new.run, action, new.alert.code) for action in rule.do]
    if rule.command:
        try:
            Command(rule.command, f"the command of the rule for {new.alert.code}").send(message_of(new.run, new.alert))
            done.append(f"{new.run.run_id}: the command of the rule for {new.alert.code} was run.")
        except NotifyError as error:
            done.append(f"{new.run.run_id}: {error}")
    return done


def _request(run: RunDirectory, action: Action, code: str) -> str:
    """Request something from a run of ours, or of a loop of one's own that was started with `tuitrain.init`.

    code: of the alert.
    """
    if run.source is not None:
        return f"{run.run_id}: {action} is not possible: it is the log of another tool, which reads no requests."
    said: list[str] = []
    try:
        if action == "stop":
            reason = f"stopped by the rule for the alert {code}"
            stop_run(run, wait=False, timeout_s=0.0, report=said.append, reason=reason)
        else:
            said.append(send_request(run, action))
    except LaunchError as error:
        return str(error)
    except OSError as error:
        return f"{run.run_id}: {action} cannot be requested: {os_error_text(error)}"
    return " ".join(said)
