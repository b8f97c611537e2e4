"""The dashboard in a browser: textual-serve starts the same command for each page that is opened."""

from __future__ import annotations

import shlex
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


class DashboardServer(Server):
    """textual-serve, whose page works under whatever name it is reached by, and is not open to other web pages."""

    async def on_startup(self, app: web.Application) -> None:
        """Textual's own server says who it is; where it listens is said once it does."""

    async def _make_app(self) -> web.Application:
        from aiohttp import web

        @web.middleware
        async def same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not self._is_ours(request.host, request.headers.get("Origin")):
                raise web.HTTPForbidden(text="This dashboard is opened by its own address only.")
            return await handler(request)

        app = await super()._make_app()
        app.middlewares.append(same_origin)
        return app

    def _is_ours(self, host: str, origin: str | None) -> bool:
        """Whether a request does not come from another web page, which a browser would let press keys here.

        A server for this machine alone also refuses other names of it, which a hostile name server could make up.
        """
        from yarl import URL

        asked = URL(f"http://{host}")
        same = origin is None or URL(origin).authority == asked.authority
        return same and (self.host not in LOOPBACK or asked.host in LOOPBACK)

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page, with addresses as the browser knows them: through a tunnel they are not those of this machine."""
        self.public_url = f"{request.scheme}://{request.host}"
        page: web.StreamResponse = await super().handle_index(request)
        return page


def serve(command: Sequence[str], host: str, port: int) -> None:
    """Serve a command of ours, which shows a Textual app, until it is interrupted. OSError if the port is taken."""
    from aiohttp import web

    server = DashboardServer(f"exec {shlex.join(command)}", host, port, title="tuitrain", templates_path=TEMPLATES)

    def say(*_: object) -> None:
        print(f"{server.public_url}\nLeave with ctrl+c. Training goes on.", flush=True)

    web.run_app(server._make_app(), host=host, port=port, print=say, access_log=None)
