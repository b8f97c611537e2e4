"""`tuitrain watch --serve`: a real server, a real page, and the dashboard on its websocket."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support import write_run


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a dashboard of one run, in which nothing can be done."""
    run = write_run(tmp_path / "runs")
    port = free_port()
    words = ["watch", run.run_id, "--runs-dir", str(run.path.parent), "--serve", "--readonly", "--port", str(port)]
    server = subprocess.Popen([sys.executable, "-m", "tuitrain.cli", *words], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    assert address == f"http://localhost:{port}"
    try:
        yield address
    finally:
        server.terminate()
        server.communicate(timeout=20)


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
    async with aiohttp.ClientSession() as browser:
        async with browser.get(served) as page:
            assert page.status == 200
            text = await page.text()
            assert "<title>tuitrain</title>" in text
            hosts = set(re.findall(r"(?:https?:|wss?:)?//([^/\"' ]+)", text))
            assert hosts == {served.removeprefix("http://")}, "nothing of the page comes from elsewhere"
            for part in re.findall(r"(?:src|href|url)[=(]\"(http[^\"]+)\"", text):
                async with browser.get(part) as found:
                    assert found.status == 200, part
            [address] = re.findall(r"ws://[^\"']+", text)
            assert address.startswith(served.replace("http", "ws"))
        async with browser.ws_connect(f"{address}?width=120&height=35", headers={"Origin": served}) as websocket:
            await websocket.send_json(["resize", {"width": 120, "height": 35}])
            text = await screen_of(websocket, ("completed", "loss", "step 100", "quit"))
            assert "stop" not in text.split("quit", 1)[1], "nothing can be done here"
            await websocket.send_json(["stdin", "S"])
            await screen_of(websocket, ("dashboard", "read-only."))
            await websocket.send_json(["stdin", "?"])
            await screen_of(websocket, ("keys:",))


async def test_other_web_pages_are_refused(served: str) -> None:
    async with aiohttp.ClientSession() as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{served}/ws", headers={"Origin": "http://elsewhere.example"})
        assert refused.value.status == 403
        rebound = {"Host": "elsewhere.example", "Origin": "http://elsewhere.example"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{served}/ws", headers=rebound)
        assert refused.value.status == 403
        port = served.rpartition(":")[2]
        async with browser.get(served, headers={"Host": f"127.0.0.1:{port}"}) as page:
            assert f"ws://127.0.0.1:{port}/ws" in await page.text()
