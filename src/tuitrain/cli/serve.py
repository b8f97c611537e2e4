"""The dashboard in a browser: textual-serve starts the same command for each page that is opened."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import secrets
import shlex
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual_serve.server import Server

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TEMPLATES = Path(__file__).parent / "templates"
"""Our own page: that of textual-serve asks another host for a font."""
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_ANY = frozenset(("0.0.0.0", "::"))
"""A server on one of these listens at every address of the machine."""
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
"""The token stays out of caches and of other sites' logs, and no other page shows this one in a frame."""


class DashboardServer(Server):
    """textual-serve, which answers only requests with its own address and its token."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(command, host, port, title="tuitrain", templates_path=TEMPLATES)
        self._token = secrets.token_urlsafe(32)
        self._cookie = f"tuitrain-{port}"
        self._names = LOOPBACK if host in LOOPBACK else {*LOOPBACK, host, socket.gethostname(), socket.getfqdn()}

    @property
    def address(self) -> str:
        """What opens the dashboard in a browser."""
        name = socket.gethostname() if self.host in _ANY else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/?token={self._token}"

    def application(self) -> web.Application:
        """The routes of textual-serve behind a guard, which answers 403 to all but the browser with the token."""
        import aiohttp_jinja2
        import jinja2
        from aiohttp import web

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            hosts = request.headers.getall("Host", [])
            if len(hosts) != 1 or not self.is_own_host(hosts[0]):
                raise web.HTTPForbidden(text="This dashboard is opened by its own address only.\n")
            if any(origin != f"http://{hosts[0]}" for origin in request.headers.getall("Origin", [])):
                raise web.HTTPForbidden(text="Other web pages cannot use this dashboard.\n")
            by_address = self._is_token(request.query.get("token", ""))
            if not by_address and not self._is_token(request.cookies.get(self._cookie, "")):
                raise web.HTTPForbidden(
                    text="Open the address that `tuitrain watch --serve` printed, with its token.\n"
                )
            if by_address and request.path == "/":
                # The token goes from the address into a cookie, where neither the history nor a screenshot shows it.
                answer = web.HTTPSeeOther(request.rel_url.without_query_params("token"))
                answer.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax")
                raise answer
            return await handler(request)

        async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(_HEADERS)

        app = web.Application(middlewares=[guard])
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(self.templates_path))
        app.add_routes([
            web.get("/", self.handle_index, name="index"),
            web.get("/ws", self.handle_websocket, name="websocket"),
            web.get("/download/{key}", self.handle_download, name="download"),
            web.static("/static", self.statics_path, name="static"),
        ])  # fmt: skip
        app.on_shutdown.append(self.on_shutdown)
        app.on_response_prepare.append(add_headers)
        return app

    def is_own_host(self, host: str) -> bool:
        """Whether a Host header is one of this server: its port, and a name of it that no name server made up.

        Such names are those of the loopback interface; where the server listens at others too, also the name it was
        given, the machine's own, and every IP address.
        """
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or 80) != self.port:
            return False
        name = match["name"].strip("[]").lower()
        return name in {each.lower() for each in self._names} or (self.host not in LOOPBACK and _is_ip_address(name))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page, with addresses as the browser knows them: through a tunnel they are not those of this machine."""
        self.public_url = f"http://{request.host}"
        page: web.StreamResponse = await super().handle_index(request)
        return page


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log a request that is no HTTP in one line, without a traceback; returns True: the record is kept."""
    from aiohttp.http_exceptions import HttpProcessingError

    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
    return True


def serve(command: Sequence[str], host: str, port: int) -> None:
    """Serve a command of ours, which shows a Textual app, until it is interrupted. OSError if the port is taken."""
    from aiohttp import web

    server = DashboardServer(f"exec {shlex.join(command)}", host, port)

    def say(*_: object) -> None:
        print(f"{server.address}\nLeave with ctrl+c. Training goes on.", flush=True)

    logging.getLogger("aiohttp.server").addFilter(_without_traceback)
    web.run_app(server.application(), host=host, port=port, print=say, access_log=None)
