"""Serving an ASGI application by uvicorn, with the settings that the benchmarks measured."""

from typing import Any

import uvicorn


def serve_app(app: Any, host: str, port: int, *, log_level: str = "warning") -> int:
    """Serve until a signal; the exit status."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        interface="asgi3",
        lifespan="on",
        access_log=False,
        log_level=log_level,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
        # Behind a proxy the public URL is a setting: nobody's X-Forwarded-* is believed.
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 3
