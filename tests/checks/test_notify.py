"""Who is told: services, commands, the terminal; and that no secret is repeated."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tuitrain.checks.actions import message_of
from tuitrain.checks.notify import Command, Deliveries, Message, NotifyError, Service, Terminal, targets_of
from tuitrain.events import Alert
from tuitrain.runs import RunDirectory
from tuitrain.settings import SettingsError

ABOUT = ("run", ("spike", 1, 0))
ALERT = Alert(time=1e9, level="critical", code="non_finite_loss", message="The loss is\x1b]0;x\x07 nan.", step=1234)


@pytest.fixture
def message(tmp_path: Path) -> Message:
    return message_of(RunDirectory(tmp_path / "a-run"), ALERT)


@pytest.fixture
def received() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A port that takes JSON, and what came."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port, came
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_service_gets_the_message_without_control_characters(
    received: tuple[int, list[dict[str, str]]], message: Message
) -> None:
    port, came = received
    Service(f"json://127.0.0.1:{port}/hook", 1).send(message)
    assert came[0]["title"] == "tuitrain critical: a-run"
    assert "a-run, step 1,234" in came[0]["message"] and "\x1b" not in came[0]["message"]


def test_an_address_is_repeated_nowhere(
    message: Message, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service = Service("json://user:SECRET@127.0.0.1:9/SECRET", 2)
    with pytest.raises(NotifyError) as error:
        service.send(message)
    assert str(error.value) == "address 2 (json) could not be reached."
    for url in ("nonsense://SECRET", "SECRET"):
        with pytest.raises(SettingsError) as refused:
            targets_of([url])
        assert "SECRET" not in str(refused.value) and "is no address that apprise knows" in str(refused.value)
    with pytest.raises(SettingsError, match="is no command line") as wrong:
        targets_of([], 'curl "SECRET')
    assert "SECRET" not in str(wrong.value)
    assert "SECRET" not in caplog.text
    assert "SECRET" not in "".join(capfd.readouterr())


def test_a_command_gets_the_facts(tmp_path: Path, message: Message) -> None:
    script = tmp_path / "told"
    script.write_text('#!/bin/sh\nenv | grep ^TUITRAIN_ALERT | sort > "$1"; cat >> "$1"\n')
    script.chmod(0o700)
    Command(f"'{script}' '{tmp_path / 'out put'}'").send(message)
    told = (tmp_path / "out put").read_text()
    for line in ("TUITRAIN_ALERT_CODE=non_finite_loss", "TUITRAIN_ALERT_STEP=1234", "TUITRAIN_ALERT_RUN_ID=a-run"):
        assert line in told.splitlines()
    assert told.rstrip().endswith("/a-run") or "tuitrain watch" in told
    for line, said in {
        "false": "the command ended with exit code 1.",
        "/no/such SECRET": "the command could not be started: No such file or directory.",
    }.items():
        with pytest.raises(NotifyError) as error:
            Command(line).send(message)
        assert str(error.value) == said


def test_a_terminal_rings_and_a_file_does_not(message: Message) -> None:
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    tty, file = Tty(), io.StringIO()
    Terminal(tty).send(message)
    Terminal(file).send(message)
    sequence, bell = tty.getvalue()[:-1], tty.getvalue()[-1]
    assert sequence.startswith("\x1b]9;tuitrain critical: a-run: The loss is") and sequence.endswith("\x07")
    assert bell == "\a" and sequence.count("\x07") == 1 and file.getvalue() == ""


def test_a_target_that_is_down_is_tried_again_for_a_while(message: Message) -> None:
    class Flaky:
        name = "address 1"

        def __init__(self, failures: int) -> None:
            self.failures, self.sent = failures, 0

        def send(self, message: Message) -> None:
            if self.failures:
                self.failures -= 1
                raise NotifyError("address 1 could not be reached.")
            self.sent += 1

    good, bad = Flaky(0), Flaky(2)
    deliveries = Deliveries([good, bad])
    deliveries.add(message, ABOUT, 0.0)
    assert deliveries.send(0.0) == ["address 1 could not be reached. It is tried again."]
    assert good.sent == 1 and deliveries.send(1.0) == [] and deliveries.waiting == {ABOUT}
    said = [deliveries.send(float(now)) for now in range(2, 200)]
    assert [sentences for sentences in said if sentences] == [["address 1 could not be reached. It is tried again."]]
    assert bad.sent == 1 and deliveries.waiting == set()
    never = Flaky(10**6)
    deliveries = Deliveries([never])
    deliveries.add(message, ABOUT, 0.0)
    last = [sentence for now in range(0, 10**5, 10) for sentence in deliveries.send(float(now))][-1]
    assert last.endswith("It is not tried again.")
