"""Sessions: the right password opens one, only its digest is kept, and forms carry its token."""

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response

from beckon.core.clock import VirtualClock
from beckon.core.errors import Refused
from beckon.store.changes import Changes
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate
from beckon.store.tables import PEOPLE
from beckon.web.sessions import (
    COOKIE,
    SESSION_MS,
    TRIES_PER_EMAIL_MAX,
    TRIES_WINDOW_MS,
    Person,
    Sessions,
    Tries,
    digest_of,
    hash_password,
    person_row,
    require_csrf,
    require_same_origin,
)

OWNER = Person(id="per_1", workspace="main", email="owner@example.com", name="Olga Owner", role="owner")
PASSWORD = "correct horse battery"


def request(
    cookie: str = "", headers: dict[str, str] | None = None, body: bytes = b"", scheme: str = "http"
) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    raw.append((b"host", b"beckon.example"))
    if cookie:
        raw.append((b"cookie", f"{COOKIE}={cookie}".encode()))

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(
        {
            "type": "http",
            "method": "POST",
            "scheme": scheme,
            "path": "/",
            "query_string": b"",
            "headers": raw,
            "client": ("127.0.0.1", 5),
            "server": ("beckon.example", 80),
        },
        receive,
    )


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    await opened.open()
    await migrate(opened)
    changes = Changes()
    changes.insert(PEOPLE, person_row(OWNER, PASSWORD, 0))
    await opened.commit(changes)
    yield opened
    await opened.close()


async def test_the_right_password_opens_a_session_and_signing_out_ends_it(database: Database):
    clock = VirtualClock()
    sessions = Sessions(database, clock)
    token, person = await sessions.sign_in(request(), "  Owner@Example.com ", PASSWORD)
    assert person == OWNER
    found = await sessions.find(request(token))
    assert found is not None
    assert found.person == OWNER
    rows = await database.fetch("SELECT digest FROM sessions")
    assert rows == [(digest_of(token),)]
    assert token not in str(rows)

    response = Response()
    await sessions.sign_out(request(token), response)
    assert await sessions.find(request(token)) is None
    assert "Max-Age=0" in response.headers["set-cookie"]


async def test_a_session_ends_by_itself(database: Database):
    clock = VirtualClock()
    sessions = Sessions(database, clock)
    token = await sessions.open_for(OWNER)
    clock.drag(SESSION_MS - 1)
    assert await sessions.find(request(token)) is not None
    clock.drag(1)
    assert await sessions.find(request(token)) is None
    await sessions.open_for(OWNER)
    assert len(await database.fetch("SELECT digest FROM sessions")) == 1, "old ones are cleared away"


@pytest.mark.parametrize("cookie", ["", "x", "x" * 43, "x" * 5_000])
async def test_no_other_cookie_opens_anything(database: Database, cookie: str):
    assert await Sessions(database, VirtualClock()).find(request(cookie)) is None


async def test_a_wrong_password_and_an_unknown_mailbox_look_the_same(database: Database):
    sessions = Sessions(database, VirtualClock())
    said = []
    for email, password in ((OWNER.email, "wrong password"), ("nobody@example.com", PASSWORD)):
        with pytest.raises(Refused) as refused:
            await sessions.sign_in(request(), email, password)
        said.append(str(refused.value))
    assert said[0] == said[1]


async def test_after_too_many_tries_even_the_right_password_has_to_wait(database: Database):
    clock = VirtualClock()
    sessions = Sessions(database, clock)
    for _ in range(TRIES_PER_EMAIL_MAX):
        with pytest.raises(Refused, match="fit together"):
            await sessions.sign_in(request(), OWNER.email, "wrong password")
    with pytest.raises(Refused) as refused:
        await sessions.sign_in(request(), OWNER.email, PASSWORD)
    assert refused.value.code == "session.slow_down"
    clock.drag(TRIES_WINDOW_MS)
    assert (await sessions.sign_in(request(), OWNER.email, PASSWORD))[1] == OWNER


def test_tries_are_counted_in_a_window_and_never_fill_the_memory():
    tries = Tries(window_ms=1_000)
    for _ in range(3):
        tries.add("a", 0)
    assert [tries.count("a", 999), tries.count("a", 1_000)] == [3, 0]
    assert tries.wait_s("a", 0) == 1
    for number in range(20_000):
        tries.add(str(number), 0)
    assert len(tries._tried) == 10_000


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites():
    sessions = Sessions.__new__(Sessions)
    sessions._cookie = COOKIE
    for scheme, secure in (("http", False), ("https", True)):
        response = Response()
        sessions.put_cookie(request(scheme=scheme), response, "token")
        cookie = response.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert ("Secure" in cookie) is secure


def test_passwords_are_hashed_with_argon2id_and_have_a_length():
    assert hash_password(PASSWORD).startswith("$argon2id$")
    for password in ("short", "x" * 201):
        with pytest.raises(Refused):
            hash_password(password)


FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_a_form_needs_the_sessions_own_token(database: Database):
    sessions = Sessions(database, VirtualClock())
    mine = await sessions.find(request(await sessions.open_for(OWNER)))
    other = await sessions.find(request(await sessions.open_for(OWNER)))
    assert mine is not None
    assert other is not None
    await require_csrf(request(headers={"x-csrf-token": mine.csrf}), mine)
    await require_csrf(request(headers=FORM, body=f"csrf={mine.csrf}".encode()), mine)
    bad: list[tuple[dict[str, str], bytes]] = [
        (FORM, b""),
        (FORM, b"csrf="),
        (FORM, f"csrf={other.csrf}".encode()),
        ({"x-csrf-token": "é"}, b""),
    ]
    for headers, body in bad:
        with pytest.raises(Refused) as refused:
            await require_csrf(request(headers=headers, body=body), mine)
        assert refused.value.code == "session.csrf"


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://beckon.example"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, True),
    ],
)
def test_a_sign_in_form_comes_from_our_own_page(headers: dict[str, str], fine: bool):
    if fine:
        require_same_origin(request(headers=headers))
    else:
        with pytest.raises(Refused):
            require_same_origin(request(headers=headers))
