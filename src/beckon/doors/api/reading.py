"""Reading events: CloudEvents 1.0 (structured, binary, batch), bare ``{type, data}``, native JSON with a mapping."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from beckon.core.clock import from_iso
from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.core.ids import derived, fresh
from beckon.core.measures import closest
from beckon.doors.api.forms import broken_json, misfit
from beckon.messaging.contacts import read_reference
from beckon.workspaces import Library

#: How deep an event may nest.
DEPTH_MAX = 32
_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:[.-][a-z0-9_]+)*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_LENGTHS = {"id": 256, "source": 512, "type": 128, "subject": 512}
#: An instant that is further off than this is a mistake: 100 years, in milliseconds.
_FAR_MS = 100 * 365 * 86_400_000


class _Bare(msgspec.Struct, forbid_unknown_fields=True):
    """``{type, data}`` and what else of a CloudEvent may stand beside it."""

    type: str
    data: Any = None
    id: str | None = None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    specversion: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None


class _CloudEvent(msgspec.Struct):
    """A structured CloudEvent; extension attributes are let be."""

    type: str
    source: str
    id: str
    specversion: str
    data: Any = None
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    data_base64: str | None = None


_bare = msgspec.json.Decoder(_Bare).decode
_cloud_event = msgspec.json.Decoder(_CloudEvent).decode
_anything = msgspec.json.Decoder().decode

#: What reading one event gave: an event, or why not.
Outcome = Event | BeckonError


class Reader:
    """Reads requests for one workspace's library; pure but for fresh ids."""

    def __init__(self, library: Library, label: str) -> None:
        self._library = library
        self._source = f"api/{label}"

    def bare(self, body: bytes) -> Event:
        """One event from ``application/json`` without CloudEvents headers: the usual way, and the quickest."""
        try:
            return self._checked(_bare(body), None)
        except msgspec.ValidationError as error:
            # Extension attributes are fine in a CloudEvent, and a spelling mistake in anything else.
            document = _json(body)
            if isinstance(document, dict) and "specversion" in document:
                return self._checked(_converted(document), None)
            raise misfit(error, "event") from error
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise broken_json(error) from error

    def read(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        mapping: str = "",
        idempotency_key: str = "",
        events_max: int = 1_000,
    ) -> tuple[list[Outcome], bool]:
        """The request's events, or why not, one for each; and whether it is a batch."""
        media = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        fallback_id = derived("evt", self._library.workspace, idempotency_key) if idempotency_key else None
        if mapping:
            return [self._native(mapping, _json(body), fallback_id)], False
        if media == "application/cloudevents+json":
            return [self._checked(_converted(_json(body)), fallback_id)], False
        if media == "application/cloudevents-batch+json":
            return self._many(_json(body), events_max, idempotency_key, strict=True), True
        if "ce-specversion" in headers or "ce-type" in headers:
            return [self._binary(headers, media, body)], False
        if media not in ("application/json", "text/json") and not media.endswith("+json"):
            raise Refused(
                "request.media_type", f"the media type {media[:80]!r} is not read here: send application/json"
            )
        document = _json(body)
        if isinstance(document, list):
            return self._many(document, events_max, idempotency_key, strict=False), True
        return [self._checked(_either(document), fallback_id)], False

    def _many(self, document: Any, events_max: int, idempotency_key: str, *, strict: bool) -> list[Outcome]:
        if not isinstance(document, list):
            raise Refused("event.batch", "a batch is a JSON array of events")
        if not document:
            raise Refused("event.batch_empty", "the batch is empty")
        if len(document) > events_max:
            raise Refused("event.batch_size", f"a batch has {events_max} events at most; this one has {len(document)}")
        outcomes: list[Outcome] = []
        for number, one in enumerate(document):
            words = (self._library.workspace, idempotency_key, str(number))
            try:
                given = _converted(one) if strict else _either(one)
                outcomes.append(self._checked(given, derived("evt", *words) if idempotency_key else None))
            except BeckonError as error:
                outcomes.append(error)
        return outcomes

    def _native(self, mapping: str, document: Any, fallback_id: str | None) -> Event:
        found = self._library.mappings.get(mapping)
        if found is None:
            raise Refused("mapping.unknown", f"there is no mapping named {mapping[:80]!r}", field="mapping")
        mapped = found.apply(document)
        return self._checked(
            _Bare(
                type=mapped.type, data=mapped.data, id=mapped.id, source=found.source, subject=mapped.subject,
                time=mapped.time,
            ),
            fallback_id,
        )  # fmt: skip

    def _binary(self, headers: Mapping[str, str], media: str, body: bytes) -> Event:
        for name in ("ce-type", "ce-source", "ce-id", "ce-specversion"):
            if name not in headers:
                raise Refused("event.header", f"a binary CloudEvent has the header {name}", field=name)
        if body and media not in ("application/json", "text/json") and not media.endswith("+json"):
            raise Refused("request.media_type", f"a CloudEvent's data is JSON here, not {media[:80]!r}")
        given = {name[3:]: _header(name, text) for name, text in headers.items() if name.startswith("ce-")}
        return self._checked(
            _CloudEvent(
                type=given["type"],
                source=given["source"],
                id=given["id"],
                specversion=given["specversion"],
                data=_json(body) if body else None,
                subject=given.get("subject"),
                time=given.get("time"),
            ),
            None,
        )

    def _checked(self, given: "_Bare | _CloudEvent", fallback_id: str | None) -> Event:
        type_ = given.type
        if given.specversion is not None and given.specversion != "1.0":
            raise Refused("event.specversion", "this server speaks CloudEvents 1.0", field="specversion")
        if type(given) is _CloudEvent and given.data_base64 is not None:
            raise Refused("event.data_base64", "an event's data is JSON here, not base64", field="data_base64")
        library = self._library
        if not library.knows(type_):
            self._check_words(given)
            if _TYPE.fullmatch(type_) is None:
                raise Refused(
                    "event.type", "a type is words in lower case with dots between: checkin.start", field="type"
                )
            if type_.startswith(library.own_types):
                raise Refused("event.type_reserved", f"only Beckon itself says {type_}", field="type")
            raise Refused(
                "event.type_unknown",
                f"nothing here knows the type {type_}: no schema, and no flow begins with it or waits for it"
                + closest(type_, library.types()).rstrip("."),
                field="type",
            )
        if type_.startswith(library.own_types):
            raise Refused("event.type_reserved", f"only Beckon itself says {type_}", field="type")
        self._check_words(given)
        data = given.data
        schema = library.schemas.get(type_)
        if schema is not None:
            schema.check(data)
        about = None
        if type(data) is dict:
            contact = data.get("contact")
            if contact is not None:
                about = read_reference(contact, region=library.settings.region)
        return Event(
            workspace=library.workspace,
            source=given.source or self._source,
            id=given.id or fallback_id or fresh("evt"),
            type=type_,
            time_ms=0 if given.time is None else _instant(given.time),
            data=data,
            subject=given.subject,
            about=about,
        )

    @staticmethod
    def _check_words(given: "_Bare | _CloudEvent") -> None:
        for name, longest in _LENGTHS.items():
            value = getattr(given, name)
            if value is None:
                continue
            if not value or len(value) > longest:
                raise Refused("event.length", f"{name} has 1 to {longest} characters", field=name)
            if not value.isprintable() and _CONTROL.search(value):
                raise Refused("event.characters", f"{name} has control characters in it", field=name)
        if given.source is not None and given.source.startswith(("beckon/", "providers/")):
            raise Refused(
                "event.source_reserved", "sources that start with beckon/ or providers/ are ours", field="source"
            )


def _either(document: Any) -> "_Bare | _CloudEvent":
    if isinstance(document, dict) and "specversion" in document:
        return _converted(document)
    try:
        return msgspec.convert(document, _Bare)
    except msgspec.ValidationError as error:
        raise misfit(error, "event") from error


def _header(name: str, text: str) -> str:
    """A CloudEvents header's value: what is not plain ASCII comes percent-encoded."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Refused("event.header", f"the header {name} is percent-encoded UTF-8", field=name) from error


def _converted(document: Any) -> _CloudEvent:
    try:
        return msgspec.convert(document, _CloudEvent)
    except msgspec.ValidationError as error:
        raise misfit(error, "event") from error


def _json(body: bytes) -> Any:
    try:
        document = _anything(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise broken_json(error) from error
    return document


def too_deep(body: bytes) -> bool:
    """Whether a JSON text nests deeper than ``DEPTH_MAX``; counts brackets, quickly for what has few."""
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return False
    depth = 0
    in_text = escaped = False
    for byte in body:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in (0x7B, 0x5B):
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif byte in (0x7D, 0x5D):
            depth -= 1
    return False


def _instant(text: str) -> int:
    try:
        at_ms = from_iso(text)
    except (ValueError, OverflowError) as error:
        raise Refused("event.time", "time is an instant with an offset: 2026-11-20T13:22:56Z", field="time") from error
    if not 0 < at_ms < 2 * _FAR_MS:
        raise Refused("event.time", "time lies before 1970 or too far ahead", field="time")
    return at_ms
