"""`tuitrain watch --serve`: a real server, a real page, and the dashboard on its websocket."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support import write_run

if TYPE_CHECKING:
    import aiohttp


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard of one run, in which nothing can be done."""
    path = tmp_path_factory.mktemp("served")
    own = {f"TUITRAIN_{name}_DIR": str(path / name) for name in ("CONFIG", "STATE")}
    run = write_run(path / "runs")
    port = free_port()
    words = ["watch", run.run_id, "--runs-dir", str(run.path.parent), "--serve", "--readonly", "--port", str(port)]
    with (path / "errors").open("w") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "tuitrain.cli", *words], stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | own,
        )  # fmt: skip
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    assert re.fullmatch(rf"http://localhost:{port}/\?token=[\w-]{{43}}", address)
    try:
        yield address
    finally:
        server.terminate()
        # A page that is being started ends once it runs, which takes long on a busy machine.
        server.communicate(timeout=120)
    assert "Traceback" not in (path / "errors").read_text()


@pytest.fixture
async def guarded() -> AsyncIterator[str]:
    """The address of a server of a command that ends at once."""
    from aiohttp import web

    from tuitrain.cli.serve import DashboardServer

    server = DashboardServer("true", "localhost", free_port())
    runner = web.AppRunner(server.application())
    await runner.setup()
    await web.TCPSite(runner, "localhost", server.port).start()
    yield server.address
    await runner.cleanup()


async def screen_of(websocket: aiohttp.ClientWebSocketResponse, words: tuple[str, ...]) -> str:
    """What the dashboard sends until all these words are in it, without control codes."""
    sent = b""
    async with asyncio.timeout(30):
        async for message in websocket:
            sent += message.data if isinstance(message.data, bytes) else b""
            text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent.decode("utf-8", "replace"))
            if all(word in text for word in words):
                return text
    raise AssertionError("the connection was closed")


async def test_the_dashboard_is_shown_in_a_browser(served: str) -> None:
    import aiohttp

    origin = served.partition("/?")[0]
    async with aiohttp.ClientSession() as browser:
        async with browser.get(served) as page:
            assert page.status == 200
            assert "token" not in str(page.url), "the token is in a cookie now"
            assert page.headers["Referrer-Policy"] == "no-referrer"
            text = await page.text()
            assert "<title>tuitrain</title>" in text
            hosts = set(re.findall(r"(?:https?:|wss?:)?//([^/\"' ]+)", text))
            assert hosts == {origin.removeprefix("http://")}, "nothing of the page comes from elsewhere"
            for part in re.findall(r"(?:src|href|url)[=(]\"(http[^\"]+)\"", text):
                async with browser.get(part) as found:
                    assert found.status == 200, part
            [address] = re.findall(r"ws://[^\"']+", text)
            assert address.startswith(origin.replace("http", "ws"))
        async with browser.ws_connect(f"{address}?width=120&height=35", headers={"Origin": origin}) as websocket:
            await websocket.send_json(["resize", {"width": 120, "height": 35}])
            text = await screen_of(websocket, ("completed", "loss", "step 100", "quit"))
            assert "stop" not in text.split("quit", 1)[1], "nothing can be done here"
            await websocket.send_json(["stdin", "S"])
            await screen_of(websocket, ("dashboard", "read-only."))
            await websocket.send_json(["stdin", "?"])
            await screen_of(websocket, ("keys:",))


async def status_of(address: str, headers: dict[str, str], *, websocket: bool) -> int:
    import aiohttp

    async with aiohttp.ClientSession() as browser:
        if not websocket:
            async with browser.get(address, headers=headers, allow_redirects=False) as page:
                text = await page.text()
                assert page.status != 403 or (text.count("\n") == 1 and "<" not in text), "one line"
                return page.status
        try:
            async with browser.ws_connect(address, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


async def test_only_its_own_address_with_the_token_opens_it(guarded: str) -> None:
    origin, _, token = guarded.partition("/?")
    port = int(origin.rpartition(":")[2])
    for path, open_status in (("/", 303), ("/ws", 101)):

        async def status(query: str, _path: str = path, _websocket: bool = path == "/ws", **headers: str) -> int:
            return await status_of(f"{origin}{_path}?{query}", headers, websocket=_websocket)

        for name in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}"):
            assert await status(token, Host=name) == open_status, name
        for name in (
            f"127.0.0.1:{port}.evil.com", f"evil.com:{port}", "localhost", f"localhost:{port + 1}", f"10.0.0.1:{port}",
            f"localhost.evil.com:{port}", f"evil.com#localhost:{port}", f"a@localhost:{port}", "", "[::1", ":", "\x80",
        ):  # fmt: skip
            assert await status(token, Host=name) == 403, name
        assert await status(token, Origin=origin) == open_status
        for other in ("http://elsewhere.example", "null", f"https://localhost:{port}", f"{origin}.evil.com", ""):
            assert await status(token, Origin=other) == 403, other
        for wrong in ("", "token=", "token=x", f"{token}x", f"{token[:-1]}", "token=%ff%00"):
            assert await status(wrong) == 403, wrong
        assert await status("", Cookie=f"tuitrain-{port}=x") == 403
        assert await status("", Cookie=f"tuitrain-{port}={token.removeprefix('token=')}") == {"/": 200}.get(path, 101)


@pytest.mark.parametrize(
    ("host", "accepted", "refused"),
    [
        ("0.0.0.0", ("localhost:80", "10.1.2.3:80", "10.1.2.3", "[fe80::1]:80", socket.gethostname()), ("evil.com",)),
        ("gpu7.lab", ("gpu7.lab:80", "GPU7.lab"), ("gpu7.lab.evil.com:80", "gpu7.lab:81", "gpu7")),
        ("localhost", ("127.0.0.1", "localhost:80"), ("10.1.2.3:80", socket.gethostname())),
    ],
)
def test_which_names_a_server_for_other_machines_has(
    host: str, accepted: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    from tuitrain.cli.serve import DashboardServer

    server = DashboardServer("true", host, 80)
    assert [name for name in accepted if not server.is_own_host(name)] == []
    assert [name for name in refused if server.is_own_host(name)] == []


async def test_nothing_that_is_sent_to_it_makes_it_print_a_traceback(served: str) -> None:
    port = int(re.findall(r":(\d+)/", served)[0])
    for request in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d.evil.com\r\n\r\n" % port, b"\x16\x03\x01\r\n\r\n",
                    b"GET http://[x/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):  # fmt: skip
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        assert re.match(rb"HTTP/1\.[01] 40[03] ", await reader.readline())
        writer.close()
