"""Live regions in a real browser: what changed is asked for again, also after the stream broke."""

import asyncio
import socket
from collections.abc import AsyncIterator

import jinja2
import pytest
import uvicorn
from playwright.async_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.web import live, pages, static
from beckon.web.live import Hub

PAGE = """
{% extends "web/page.html" %}
{% block body_attributes %}data-live="/live?topic=list"{% endblock %}
{% block body %}<span class="live-dot"></span>
<ul id="list" data-live-on="list" data-live-src="/list"><li>0</li></ul>
<p id="other" data-live-on="other" data-live-src="/other">untouched</p>
<input id="typed">{% endblock %}
{% block scripts %}{% include "web/live.html" %}{% endblock %}
"""


class Site:
    """A page with one live list."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.position = 0
        self.asked = 0
        self.address = ""

    def change(self) -> None:
        self.position += 1
        self.hub.publish("main", ["list"], self.position)

    async def page(self, request: Request) -> Response:
        pages.environment().loader.mapping["test"] = jinja2.DictLoader({"live.html": PAGE})  # type: ignore[union-attr]
        return pages.page(request, "test/live.html")

    async def list(self, request: Request) -> Response:
        self.asked += 1
        return Response(
            f'<ul id="list" data-live-on="list" data-live-src="/list"><li>{self.position}</li></ul>',
            media_type="text/html",
        )

    async def live(self, request: Request) -> Response:
        return live.stream(request, self.hub, "main", request.query_params.getlist("topic"))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    opened = Site()
    app = Starlette(
        routes=[
            Route("/", opened.page),
            Route("/list", opened.list),
            Route("/live", opened.live),
            *static.routes(),
        ]
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", loop="none"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        opened.address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        yield opened
        opened.hub.close()
        server.should_exit = True
        await task


async def test_a_region_asks_again_when_its_topic_changed_and_only_then(site: Site, page: Page):
    await page.goto(site.address)
    await expect(page.locator(".live-dot")).to_have_attribute("data-live-state", "on")
    await page.locator("#typed").fill("half a sentence")
    for expected in ("1", "2"):
        site.change()
        await expect(page.locator("#list li")).to_have_text(expected)
    assert site.asked == 2
    await expect(page.locator("#other")).to_have_text("untouched")
    await expect(page.locator("#typed")).to_have_value("half a sentence")


async def test_many_changes_at_once_are_asked_for_a_few_times(site: Site, page: Page):
    await page.goto(site.address)
    await expect(page.locator(".live-dot")).to_have_attribute("data-live-state", "on")
    for _ in range(200):
        site.change()
    await expect(page.locator("#list li")).to_have_text("200")
    assert site.asked <= 20  # two or three, unless the machine is busy elsewhere in between


async def test_a_page_that_comes_back_after_a_break_catches_up(site: Site, page: Page):
    await page.goto(site.address)
    await expect(page.locator(".live-dot")).to_have_attribute("data-live-state", "on")
    site.change()
    await expect(page.locator("#list li")).to_have_text("1")
    await page.context.set_offline(True)
    for streams in list(site.hub._streams.values()):
        for stream in list(streams):
            stream.close()
    site.change()
    await page.context.set_offline(False)
    await expect(page.locator("#list li")).to_have_text("2")


async def test_a_tab_that_nobody_sees_lets_its_stream_go_and_catches_up_when_it_is_seen(site: Site, page: Page):
    await page.goto(site.address)
    await expect(page.locator(".live-dot")).to_have_attribute("data-live-state", "on")
    await see(page, hidden=True)
    async with asyncio.timeout(120):
        while any(site.hub._streams.values()):
            site.hub.publish("main", ["other"], site.position)  # a server notices at its next word that nobody listens
            await asyncio.sleep(0.05)
    site.change()
    await see(page, hidden=False)
    await expect(page.locator("#list li")).to_have_text("1")
    site.change()
    await expect(page.locator("#list li")).to_have_text("2")


async def see(page: Page, *, hidden: bool) -> None:
    """Bring another tab to the front, or this one back: a browser without a window shows all of them."""
    await page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )
