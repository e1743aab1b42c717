"""Sessions: who is signed in to the team's pages, by a cookie whose digest alone is kept.

Passwords are argon2id. Every form that changes something carries the session's CSRF token; it is derived from
the cookie's token, so it needs no place of its own.
"""

import asyncio
import hashlib
import hmac
import re
from urllib.parse import urlsplit

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import Request
from starlette.responses import Response

from beckon.core import ids
from beckon.core.clock import Clock
from beckon.core.errors import Refused
from beckon.store.changes import Changes, Row
from beckon.store.database import Database
from beckon.store.tables import SESSIONS

COOKIE = "beckon_session"
SESSION_MS = 14 * 24 * 3600 * 1000
PASSWORD_MIN, PASSWORD_MAX = 10, 200
EMAIL_MAX = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

#: Who may do what on the team's pages. ``telephony.listeners`` may let agents listen too.
ROLES = {
    "owner": "everything, recordings and their deletion among it",
    "agent": "the inbox, runs, deliveries and events",
    "listener": "what agents may, and listening to recordings",
}

#: Tries before we ask for patience: for one mailbox, and for one address on the network.
TRIES_PER_EMAIL_MAX = 8
TRIES_PER_ADDRESS_MAX = 40
TRIES_WINDOW_MS = 15 * 60 * 1000
_TRIED_MAX = 10_000
#: argon2 takes memory: this many at once, and the others wait.
_HASHING_AT_ONCE = 2


class Person(msgspec.Struct, frozen=True):
    """Somebody of the team."""

    id: str
    workspace: str
    email: str
    name: str
    role: str


class Session(msgspec.Struct, frozen=True):
    """A signed-in person, and the token that their forms must carry."""

    person: Person
    csrf: str
    expires_ms: int


def hash_password(password: str) -> str:
    """The argon2id hash. Raises ``Refused`` for one that is too short or too long."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Refused(
            "password.length",
            f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
            field="password",
        )
    return PasswordHasher().hash(password)


def password_fits(password: str, hashed: str) -> bool:
    """Whether ``password`` is the one behind ``hashed``."""
    try:
        return PasswordHasher().verify(hashed, password[:PASSWORD_MAX])
    except (VerificationError, InvalidHashError):
        return False


def mailbox(email: str) -> str:
    """A mailbox as it is kept and compared. Raises ``Refused`` for what is none."""
    told = email.strip().lower()
    if len(told) > EMAIL_MAX or not told.isprintable() or not _EMAIL.fullmatch(told):
        raise Refused("person.email", f"{email[:80]!r} is no mailbox; write it like ann@garage.example", field="email")
    return told


def person_row(person: Person, password: str, now_ms: int) -> Row:
    """The row of ``people`` for a new person, the password hashed."""
    return (
        person.id,
        person.workspace,
        mailbox(person.email),
        person.name,
        person.role,
        hash_password(password),
        now_ms,
    )


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_of(token: str) -> str:
    """The CSRF token that belongs to a session's token."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()[:32]


class Tries:
    """How often something was tried lately; forgets by itself and never grows beyond its limit."""

    def __init__(self, window_ms: int = TRIES_WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._tried: dict[str, tuple[int, int]] = {}

    def count(self, key: str, now_ms: int) -> int:
        """Tries in the current window."""
        started_ms, count = self._tried.get(key, (now_ms, 0))
        return 0 if now_ms - started_ms >= self._window_ms else count

    def add(self, key: str, now_ms: int) -> None:
        """Note one more."""
        count = self.count(key, now_ms)
        started_ms = self._tried[key][0] if count else now_ms
        if key not in self._tried and len(self._tried) >= _TRIED_MAX:
            self._tried.pop(next(iter(self._tried)))
        self._tried[key] = (started_ms, count + 1)

    def forget(self, key: str) -> None:
        """Start anew, after a success."""
        self._tried.pop(key, None)

    def wait_s(self, key: str, now_ms: int) -> int:
        """How long until the window is over."""
        started_ms, _ = self._tried.get(key, (now_ms, 0))
        return max(1, (started_ms + self._window_ms - now_ms) // 1000)


class Sessions:
    """Signs people in and out, and finds who is asking."""

    def __init__(self, database: Database, clock: Clock, *, cookie: str = COOKIE) -> None:
        self._database = database
        self._clock = clock
        self._cookie = cookie
        self._tries = Tries()
        self._hashing = asyncio.Semaphore(_HASHING_AT_ONCE)
        self._nobody = ""

    async def sign_in(self, request: Request, email: str, password: str) -> tuple[str, Person]:
        """A new session's token for the right password. Raises ``Refused`` (``session.wrong``) or, after
        too many tries, ``Refused`` (``session.slow_down``)."""
        now_ms = self._clock.now_ms()
        email = email.strip().lower()[:EMAIL_MAX]
        keys = (
            (f"email:{email}", TRIES_PER_EMAIL_MAX),
            (f"address:{request.client.host if request.client else ''}", TRIES_PER_ADDRESS_MAX),
        )
        for key, most in keys:
            if self._tries.count(key, now_ms) >= most:
                minutes = -(-self._tries.wait_s(key, now_ms) // 60)
                raise Refused("session.slow_down", f"Too many tries. Please wait {minutes} min.")
            self._tries.add(key, now_ms)
        rows = await self._database.fetch(
            "SELECT id, workspace, email, name, role, password FROM people WHERE email = ?", (email,)
        )
        async with self._hashing:
            if not self._nobody:
                # Compared with when the mailbox is unknown, so that it takes as long.
                self._nobody = await asyncio.to_thread(PasswordHasher().hash, ids.secret())
            hashed = str(rows[0][5]) if rows else self._nobody
            fits = await asyncio.to_thread(password_fits, password, hashed)
        if not rows or not fits:
            raise Refused("session.wrong", "The mailbox and the password don't fit together.")
        self._tries.forget(keys[0][0])
        person = _person(rows[0])
        return await self.open_for(person), person

    async def open_for(self, person: Person) -> str:
        """A new session's token for somebody whose right to it was shown otherwise (the demo, a first
        owner)."""
        token = ids.secret(32)
        now_ms = self._clock.now_ms()
        changes = Changes()
        changes.execute("DELETE FROM sessions WHERE expires_ms <= ?", (now_ms,))
        changes.insert(SESSIONS, (digest_of(token), person.id, now_ms + SESSION_MS))
        await self._database.commit(changes)
        return token

    async def find(self, request: Request) -> Session | None:
        """The session that the request's cookie opens, if it still does."""
        token = request.cookies.get(self._cookie, "")
        if not 20 <= len(token) <= 100:
            return None
        rows = await self._database.fetch(
            "SELECT p.id, p.workspace, p.email, p.name, p.role, s.expires_ms FROM sessions s"
            " JOIN people p ON p.id = s.person WHERE s.digest = ?",
            (digest_of(token),),
        )
        if not rows or int(rows[0][5] or 0) <= self._clock.now_ms():
            return None
        return Session(_person(rows[0]), csrf_of(token), int(rows[0][5] or 0))

    async def sign_out(self, request: Request, response: Response) -> None:
        """End the session for good, and take the cookie back."""
        token = request.cookies.get(self._cookie, "")
        if token:
            changes = Changes()
            changes.delete(SESSIONS, (digest_of(token),))
            await self._database.commit(changes)
        response.delete_cookie(self._cookie, path="/")

    def put_cookie(self, request: Request, response: Response, token: str) -> None:
        """Give the browser its cookie: out of reach of scripts and of other sites' forms."""
        response.set_cookie(
            self._cookie,
            token,
            max_age=SESSION_MS // 1000,
            path="/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )


async def require_csrf(request: Request, session: Session) -> None:
    """Refuse a change that didn't come from one of our own pages. The token stands in the form's field
    ``csrf`` or, for scripts, in the header ``X-CSRF-Token``. Raises ``Refused`` (``session.csrf``)."""
    given = request.headers.get("x-csrf-token")
    if given is None:
        form = await request.form(max_fields=200, max_files=10)
        field = form.get("csrf")
        given = field if isinstance(field, str) else ""
    if not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise Refused("session.csrf", "This form is too old. Please load the page again.")


def require_same_origin(request: Request) -> None:
    """Refuse a form that another site sent: for forms before anybody is signed in. Raises ``Refused``."""
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    origin = request.headers.get("origin")
    if site is None and (origin is None or urlsplit(origin).netloc == request.headers.get("host")):
        return
    raise Refused("session.csrf", "This form was sent from another site.")


def _person(row: Row) -> Person:
    return Person(str(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4]))
