"""Pages and static files: escaped, strict, safe headers, addresses that change with the content."""

import gzip
import json
import re
from typing import Any

import httpx
import jinja2
import pytest
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.clock import VirtualClock
from beckon.web import filters, pages, static
from beckon.web.previews import is_preview

HOSTILE = "<script>alert('x')</script>"


def render(text: str, **context: Any) -> str:
    return pages.environment().from_string(text).render({"locale": "en", "time_zone": "UTC", **context})


def app_with(**context: Any) -> Starlette:
    async def shown(request: Request) -> Response:
        return pages.page(request, "web/error.html", title="T", text=HOSTILE, **context)

    app = Starlette(routes=[Route("/", shown), *static.routes()])
    app.state.clock = VirtualClock()
    return app


async def get(app: Starlette, path: str, **options: Any) -> httpx.Response:
    base = options.pop("base_url", "http://t")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base) as client:
        return await client.get(path, **options)


async def test_a_page_escapes_what_it_is_given_and_runs_nothing_but_our_files():
    answer = await get(app_with(), "/")
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers


async def test_over_https_the_browser_is_told_to_stay_there():
    answer = await get(app_with(), "/", base_url="https://t")
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_a_page_may_name_who_frames_it():
    answer = await get(app_with(frame_ancestors="'self'"), "/")
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"


def test_an_unknown_name_in_a_template_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("{{ nobody }}")


def test_no_template_has_an_inline_script_style_or_event():
    for area, folder in pages.template_folders().items():
        for path in folder.rglob("*.html"):
            text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
            where = f"{area}/{path.name}"
            assert not re.search(r"<script(?![^>]*\bsrc=)", text), where
            assert "<style" not in text, where
            assert not re.search(r"\sstyle=", text), where
            assert not re.search(r"\son[a-z]+=", text), where
            assert "|safe" not in text.replace(" ", ""), where


def test_every_template_can_be_parsed():
    names = pages.environment().list_templates()
    assert "web/page.html" in names
    for name in names:
        pages.environment().get_template(name)


async def test_static_files_are_kept_for_ever_under_an_address_of_their_content():
    app = app_with()
    url = static.assets().url("web/all.css")
    answer = await get(app, url, headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.text.startswith("@layer tokens")
    plain = await get(app, url, headers={"accept-encoding": "identity"})
    assert plain.text == answer.text
    old = await get(app, url.replace(static.assets().digest, "0" * 12))
    assert old.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["web/../pages.py", "web/css/nothing.css", "..%2f..%2fetc/passwd", "web/css"])
async def test_only_known_static_files_are_served(name: str):
    assert (await get(app_with(), f"/static/x/{name}")).status_code == 404


def test_the_style_sheet_holds_every_component_once_and_is_small():
    sheet = static.assets().files["web/all.css"]
    for name in ("tokens", "ground", "buttons", "forms", "cards", "tables", "badges", "bubbles", "phone", "nav"):
        part = static.assets().files[f"web/css/{name}.css"].body
        assert sheet.body.count(part) == 1
    assert len(gzip.compress(sheet.body)) < 16_000


def test_a_missing_static_file_is_named():
    with pytest.raises(KeyError, match=r"web/css/nope\.css"):
        static.assets().url("web/css/nope.css")


AT = 1_790_000_000_000  # 2026-09-21T14:13:20Z


def test_instants_are_shown_in_the_pages_time_zone():
    shown = render("{{ at | instant }}", at=AT, time_zone="Europe/Brussels")
    assert shown == '<time datetime="2026-09-21T14:13:20.000Z">21 Sep 2026, 16:13</time>'
    assert ">14:13<" in render("{{ at | clock_time }}", at=AT, now_ms=AT)
    assert ">20 Sep, 14:13<" in render("{{ (at - 86400000) | clock_time }}", at=AT, now_ms=AT)
    assert "14:13" in render("{{ at | instant }}", at=AT, time_zone="Mars/Olympus")


@pytest.mark.parametrize(
    ("away_ms", "words"),
    [
        (-3_000, "now"),
        (-45_000, "45 s ago"),
        (-61_000, "1 min ago"),
        (-7_500_000, "2 h ago"),
        (-86_400_000, "1 day ago"),
        (-5 * 86_400_000, "5 days ago"),
        (3_600_000, "in 1 h"),
    ],
)
def test_relative_times_are_said_in_one_unit(away_ms: int, words: str):
    assert filters.relative(AT + away_ms, AT) == words


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+32470123456", "+32 470 12 34 56"), ("4915112345678", "+49 1511 2345678"), ("abc", "abc"), ("", "")],
)
def test_phone_numbers_are_shown_as_people_write_them(number: str, shown: str):
    assert filters.phone(number) == shown


def test_json_is_shown_in_colours_and_escaped():
    value = {"a<b": [1, True, None, "</pre><script>"], "b": -1.5e3}
    shown = str(filters.json_pretty(value))
    assert "<script>" not in shown
    assert '<span class="json-key">&#34;a&lt;b&#34;</span>' in shown
    assert '<span class="json-word">true</span>' in shown
    assert json.loads(Markup(shown).striptags()) == value


def test_json_that_is_too_long_is_cut():
    assert "(cut)" in filters.json_pretty(["x" * 100] * 2_000)


def test_lines_keep_breaks_link_addresses_and_escape_the_rest():
    shown = str(filters.lines("a <b>\nhttps://x.example/?a=1&b=2 javascript:alert(1)"))
    assert "&lt;b&gt;<br>" in shown
    assert 'href="https://x.example/?a=1&amp;b=2"' in shown
    assert 'href="javascript' not in shown


def test_a_name_has_initials_and_a_steady_tint():
    assert [filters.initials(name) for name in ("Anna Janssens", "anna", "", "!", "Jean-Luc de Vries")] == [
        "AJ",
        "A",
        "?",
        "?",
        "JV",
    ]
    assert filters.hue("con_1") == filters.hue("con_1")
    assert 0 <= filters.hue("x" * 1000) < 8


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
IMESSAGE = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)


@pytest.mark.parametrize(
    ("method", "headers", "preview"),
    [
        ("GET", {"user-agent": IPHONE}, False),
        ("GET", {"user-agent": IPHONE + " Instagram 300.0 (WhatsApp in-app browser)"}, False),
        ("GET", {"user-agent": "Mozilla/5.0 (Linux; Android 15; Pixel) Chrome/140 Mobile Safari/537.36"}, False),
        ("HEAD", {"user-agent": IPHONE}, True),
        ("GET", {"user-agent": "WhatsApp/2.23.20.0 A"}, True),
        ("GET", {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"}, True),
        ("GET", {"user-agent": IMESSAGE}, True),
        ("GET", {"user-agent": "TelegramBot (like TwitterBot)"}, True),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, True),
        ("GET", {"user-agent": IPHONE, "sec-purpose": "prefetch;prerender"}, True),
        ("GET", {"user-agent": IPHONE, "purpose": "prefetch"}, True),
        ("GET", {}, True),
        ("GET", {"user-agent": "curl/8.5.0"}, True),
    ],
)
def test_previews_are_told_from_people(method: str, headers: dict[str, str], preview: bool):
    assert is_preview(method, headers) is preview
