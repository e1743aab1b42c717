"""``POST /v1/events``: the door that most goes through. Raw ASGI: nothing between the server and ``accept``."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from starlette.requests import Request

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Misconfigured, Refused
from beckon.core.event import Event
from beckon.doors.api.forms import has_nul, key_of, read_query
from beckon.doors.api.keys import Key, Keys
from beckon.doors.api.reading import Outcome, Reader, too_deep
from beckon.intake.accept import Accepted, Intake
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import IDEMPOTENCY
from beckon.web.bodies import Receive, read_body
from beckon.web.problems import on_fault, problem, problem_body
from beckon.workspaces import Workspaces

log = logging.getLogger("beckon.api")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_PLAIN = (b"application/json", b"application/json; charset=utf-8")


class EventsDoor:
    """Takes events. An ASGI application for one path."""

    def __init__(
        self,
        *,
        keys: Keys,
        workspaces: Workspaces,
        intake: Intake,
        database: Database,
        clock: Clock,
        body_size_bytes_max: int,
        batch_events_max: int,
    ) -> None:
        self._keys = keys
        self._workspaces = workspaces
        self._intake = intake
        self._database = database
        self._clock = clock
        self._body_max = body_size_bytes_max
        self._batch_max = batch_events_max
        self._readers: dict[tuple[str, str], Reader] = {}
        #: (workspace, idempotency key) under way
        self._underway: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = await self._answer(scope, receive)
        except BeckonError as error:
            await problem(error)(scope, receive, send)
            return
        except Exception as error:
            log.exception("an event was not taken")
            await (await on_fault(Request(scope), error))(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [_JSON, (b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        authorization, media = "", b"application/json"
        special = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"content-type":
                media = value
            elif name == b"x-api-key" and not authorization:
                authorization = "Bearer " + value.decode("latin-1")
            elif name == b"idempotency-key" or name[:3] == b"ce-" or name == b"content-encoding":
                special = True
        key = self._keys.cached(authorization)
        if key is None or "events" not in key.scopes:
            key = await self._keys.check(authorization, "events")
        body = await read_body(receive, self._body_max)
        if too_deep(body):
            raise Refused("event.nesting", "the body nests deeper than 32 levels")
        if has_nul(body):
            raise Refused("event.characters", "the body has a NUL character (\\u0000) in a text")
        reader = self._reader(key)
        if not special and media in _PLAIN and not scope["query_string"] and body[:1] == b"{":
            accepted = (await self._intake.accept((reader.bare(body),)))[0]
            if not accepted.duplicate:
                return 202, b'{"id":%b,"position":%d}' % (_encode(accepted.id), accepted.position)
            return 202, _encode(_said(accepted))
        return await self._special(scope, body, key, reader)

    async def _special(self, scope: Scope, body: bytes, key: Key, reader: Reader) -> tuple[int, bytes]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("content-encoding", "identity") != "identity":
            raise Refused("request.media_type", "a compressed body is not read here")
        mapping = read_query(scope["query_string"], _Query).mapping
        once = key_of(headers)
        if not once:
            outcomes, batch = reader.read(headers, body, mapping=mapping or "", events_max=self._batch_max)
            return await self._take(outcomes, batch, None)
        fingerprint = _fingerprint(scope, headers, body)
        mark = (key.workspace, once)
        if mark in self._underway:
            raise Refused("idempotency.conflict", "a request with this Idempotency-Key is under way")
        self._underway.add(mark)
        try:
            rows = await self._database.fetch(
                "SELECT fingerprint, answer FROM idempotency WHERE workspace = ? AND idempotency_key = ?", mark
            )
            if rows:
                if rows[0][0] != fingerprint:
                    raise Refused(
                        "idempotency.mismatch", "this Idempotency-Key came before with another body: use a new key"
                    )
                return await self._again(key.workspace, str(rows[0][1]))
            outcomes, batch = reader.read(
                headers, body, mapping=mapping or "", idempotency_key=once, events_max=self._batch_max
            )
            return await self._take(outcomes, batch, (*mark, fingerprint))
        finally:
            self._underway.discard(mark)

    async def _take(self, outcomes: list[Outcome], batch: bool, once: tuple[str, str, str] | None) -> tuple[int, bytes]:
        if not batch and isinstance(outcomes[0], BeckonError):
            raise outcomes[0]
        events = [outcome for outcome in outcomes if isinstance(outcome, Event)]
        # What came of it is kept with the events, in one transaction: a repeated request finds both or neither.
        changes = None
        if once is not None:
            changes = Changes()
            kept = _Kept(
                [
                    _KeptEvent(outcome.source, outcome.id) if isinstance(outcome, Event) else problem_body(outcome)
                    for outcome in outcomes
                ],
                batch,
            )
            changes.insert_new(IDEMPOTENCY, (*once, _encode(kept).decode(), self._clock.now_ms()))
        accepted = list(await self._intake.accept(events, alongside=changes)) if events or changes else []
        return _body(outcomes, accepted, batch)

    async def _again(self, workspace: str, text: str) -> tuple[int, bytes]:
        """The answer to a request that was answered before."""
        kept = msgspec.json.decode(text, type=_Kept)
        rows = await self._database.fetch_all(
            [
                (
                    "SELECT position FROM journal WHERE workspace = ? AND source = ? AND id = ?",
                    (workspace, one.source, one.id),
                )
                for one in kept.outcomes
                if isinstance(one, _KeptEvent)
            ]
        )
        found = iter(rows)
        accepted = [
            Accepted(one.id, int(next(found)[0][0] or 0), True) for one in kept.outcomes if isinstance(one, _KeptEvent)
        ]
        return _body(kept.outcomes, accepted, kept.batch)

    def _reader(self, key: Key) -> Reader:
        mark = (key.workspace, key.label)
        reader = self._readers.get(mark)
        if reader is None:
            library = self._workspaces.get(key.workspace)
            if library is None:
                raise Misconfigured("workspace.missing", f"the key's workspace {key.workspace!r} is not served here")
            reader = self._readers[mark] = Reader(library, key.label)
        return reader


class _Query(msgspec.Struct, frozen=True):
    """The query: which mapping reads the body; none: it is an event."""

    mapping: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


class _KeptEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event that was accepted under an Idempotency-Key."""

    source: str
    id: str


class _Kept(msgspec.Struct, frozen=True):
    """What came of a request with an Idempotency-Key: for each event, where it is, or why not."""

    outcomes: list[_KeptEvent | dict[str, Any]]
    batch: bool


def _fingerprint(scope: Scope, headers: Mapping[str, str], body: bytes) -> str:
    """What must be the same for a request to be the same: in a binary CloudEvent that stands in headers."""
    told = sorted((name, text) for name, text in headers.items() if name.startswith("ce-") or name == "content-type")
    return sha256(_encode([scope["query_string"].decode("latin-1"), told]) + b"\n" + body).hexdigest()


def _said(accepted: Accepted) -> dict[str, Any]:
    said: dict[str, Any] = {"id": accepted.id, "position": accepted.position}
    if accepted.duplicate:
        said["duplicate"] = True
    return said


def _body(
    outcomes: "Sequence[Outcome | _KeptEvent | dict[str, Any]]", accepted: list[Accepted], batch: bool
) -> tuple[int, bytes]:
    if not batch:
        return 202, _encode(_said(accepted[0]))
    answers: list[dict[str, Any]] = []
    ours = iter(accepted)
    for outcome in outcomes:
        if isinstance(outcome, Event | _KeptEvent):
            answers.append({"status": 202, **_said(next(ours))})
        elif isinstance(outcome, dict):
            answers.append(outcome)
        else:
            answers.append(problem_body(outcome))
    refused = len(outcomes) - len(accepted)
    return (207 if refused else 202), _encode({"accepted": len(accepted), "refused": refused, "events": answers})
