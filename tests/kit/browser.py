"""Debian's Chromium, driven by Playwright. Tests that use it are ``async``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright, expect

CHROMIUM = Path("/usr/bin/chromium")
#: A condition is waited for, however busy two noisy cores are with all else; only what never comes takes so long.
ACTION_TIMEOUT_MS = 120_000
#: An expectation waits as long.
expect.set_options(timeout=ACTION_TIMEOUT_MS)

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
HAND: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}

_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the session; it reaches loopback only."""
    if not CHROMIUM.exists():
        raise RuntimeError(f"there is no {CHROMIUM}; `make test` installs it")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh page on a desk. The test fails when a script does, or when the content policy is broken."""
    async with fresh_page(browser, **DESK) as fresh:
        yield fresh


@pytest.fixture
async def phone(browser: Browser) -> AsyncIterator[Page]:
    """A fresh page in a hand, in a context of its own: another person than ``page``."""
    async with fresh_page(browser, **HAND) as fresh:
        yield fresh


@asynccontextmanager
async def fresh_page(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page with its own cookies; ``options`` are those of Playwright's ``new_context``."""
    context = await browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Brussels", **options})
    context.set_default_timeout(ACTION_TIMEOUT_MS)
    faults: list[str] = []

    def note_error(error: Error) -> None:
        faults.append(f"{error.name}: {error.message}")

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            faults.append(message.text)

    try:
        fresh = await context.new_page()
        fresh.on("pageerror", note_error)
        fresh.on("console", note_message)
        yield fresh
    finally:
        await context.close()
    assert not faults, f"the page's scripts failed: {faults}"
