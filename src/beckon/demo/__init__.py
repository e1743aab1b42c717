"""The demo: the real server, the pretended parties and a clock to drag, in one process under one address.

``stage`` composes them, beside ``app`` the only place that knows every part; ``running`` shows it to a visitor or plays
every scenario on it.
"""

from beckon.demo.running import play_headless, serve_demo
from beckon.demo.stage import Stage, staged

__all__ = ["Stage", "play_headless", "serve_demo", "staged"]
