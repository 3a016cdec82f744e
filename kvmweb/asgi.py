"""The ASGI application of the web process: Django for pages, Channels for the page's WebSocket."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmweb.settings")
pages = get_asgi_application()  # before anything that imports models

from dashboard.live.routing import websocket_urlpatterns  # noqa: E402


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Answer the server's start and stop; Channels' router knows no lifespan and would log an error."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = ProtocolTypeRouter(
    {
        "http": pages,
        # Each socket finds out by itself who opens it: see dashboard.live.consumer.
        "websocket": URLRouter(websocket_urlpatterns),
        "lifespan": lifespan,
    }
)
