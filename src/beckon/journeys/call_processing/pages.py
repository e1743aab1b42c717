"""The team's pages about calls: the list, one call with its path and its recordings, what people say of it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core.errors import BeckonError, Refused
from beckon.core.event import Event
from beckon.core.ids import fresh
from beckon.journeys.call_processing.entry import OUTCOMES, length, seconds_of
from beckon.journeys.call_processing.kept import (
    COMMENT_CHARS_MAX,
    MARKS,
    TOPIC,
    WORD_CHARS_MAX,
    Kept,
    decode,
    topic_of,
)
from beckon.journeys.call_processing.listening import Listening, may_listen
from beckon.journeys.call_processing.voice import SCRIPT, VoiceChannel, script_for
from beckon.journeys.part import JourneyParts, Visit
from beckon.store.database import Database, within
from beckon.telephony.call import Call, CallRecord
from beckon.telephony.script import Script
from beckon.telephony.script_drawing import draw
from beckon.telephony.script_reading import parse_script
from beckon.web.pictures import for_both

PAGE = 50
_TONES = {
    "connected": "good", "voicemail": "accent", "finished": "good", "abandoned": "warn", "unreached": "warn",
    "failed": "bad",
}  # fmt: skip
_ROLES = {"caller": "Caller", "callee": "Callee"}


class Listed(msgspec.Struct, frozen=True):
    """One line of the list."""

    id: str
    contact: str
    record: CallRecord
    word: str
    tone: str
    length: str
    mark: str
    recorded: bool


class Heard(msgspec.Struct, frozen=True):
    """A recording of a call, as its player is made from it."""

    id: str
    what: str
    box: str
    seconds: int
    here: bool
    why: str


def routes(parts: JourneyParts) -> Sequence[BaseRoute]:
    """The pages, for signed-in people."""
    desk, listening = _Desk(parts), Listening(parts)
    one, sound = "/console/calls/{call}", "/console/calls/{call}/recordings/{recording}"
    reading = {
        "/console/calls": desk.show_list,
        "/console/calls/scripts": desk.scripts,
        one: desk.show,
        f"{one}/player": desk.player,
        f"{sound}/audio": listening.audio,
        f"{sound}/peaks": listening.peaks,
    }
    acts = {f"{one}/comment": desk.comment, f"{one}/mark": desk.mark, f"{one}/forget": desk.forget}
    return [
        *(Route(path, parts.signed(view), methods=["GET"]) for path, view in reading.items()),
        *(Route(path, parts.signed(view), methods=["POST"]) for path, view in acts.items()),
    ]


class _Desk:
    def __init__(self, parts: JourneyParts) -> None:
        self._parts = parts

    async def show_list(self, visit: Visit) -> Response:
        """All calls, the newest first."""
        outcome, mark, after = visit.query("outcome", 20), visit.query("mark", 20), visit.query("after", 60)
        outcome = outcome if outcome in OUTCOMES or outcome == "now" else ""
        mark = mark if mark in MARKS else ""
        rows = await _rows(visit.reader, visit.workspace, "" if outcome == "now" else outcome, outcome == "now", after)
        listed = [one for one in map(_listed, rows[:PAGE]) if not mark or one.mark == mark]
        kept = {name: value for name, value in (("outcome", outcome), ("mark", mark)) if value}
        last = rows[PAGE - 1] if len(rows) > PAGE else None
        return await visit.show(
            "call_processing/calls.html",
            title="Calls",
            topics=(TOPIC,),
            calls=listed,
            names=await _names(visit, [one.contact for one in listed]),
            outcomes=OUTCOMES,
            outcome=outcome,
            mark=mark,
            marks=MARKS,
            more="/console/calls?" + urlencode({**kept, "after": f"{last[2]}.{last[0]}"}) if last else "",
        )

    async def scripts(self, visit: Visit) -> Response:
        """The workspace's call scripts, one of them drawn, and the numbers that have them."""
        library = self._parts.workspaces.get(visit.workspace)
        scripts = dict(sorted(library.scripts.items())) if library is not None else {}
        numbers = library.settings.telephony.numbers if library is not None else {}
        name = visit.query("name", 80) or next(iter(scripts), "")
        if name and name not in scripts:
            return await visit.missing("script")
        script = scripts.get(name)
        return await visit.show(
            "call_processing/scripts.html",
            title="Call scripts",
            scripts=scripts.values(),
            script=script,
            numbers={one: [number for number, of in numbers.items() if of == one] for one in scripts},
            all_numbers=len(numbers) == 1,
            drawing=for_both(lambda room: draw(script, room=room)) if script is not None else None,
        )

    async def show(self, visit: Visit) -> Response:
        """One call."""
        found = await self._found(visit)
        if found is None:
            return await visit.missing("call")
        contact, kept = found
        record, live = kept.record, self._live(visit, kept.record.id)
        if live is not None:
            record = msgspec.structs.replace(record, legs=live.legs, decisions=live.decisions, digits=live.kept)
        names = await _names(visit, [contact])
        people = await _people(visit, kept)
        script = await self._script(visit, record)
        return await visit.show(
            "call_processing/call.html",
            title=f"Call {names.get(contact) or record.caller}",
            topics=(topic_of(record.id),),
            record=record,
            kept=kept,
            contact=contact,
            contact_name=names.get(contact, ""),
            word=OUTCOMES.get(record.outcome, record.outcome),
            tone=_TONES.get(record.outcome, "accent"),
            length=length(seconds_of(record)),
            roles=_ROLES,
            drawing=_drawing(script, record, live.pointer if live is not None else ""),
            script_here=script is not None and self._has(visit, record.script),
            step_names={path: step.name for path, step in script.by_path.items() if step.name} if script else {},
            heard=await _heard(visit, record),
            may_listen=may_listen(self._parts, visit),
            people=people,
            marks=MARKS,
            begin=record.answered_ms or record.started_ms,
            clock=_clock,
        )

    async def player(self, visit: Visit) -> Response:
        """The players alone, for a thread."""
        found = await self._found(visit)
        if found is None:
            return await visit.missing("call")
        _contact, kept = found
        return await visit.show(
            "call_processing/players.html",
            title="",
            record=kept.record,
            kept=kept,
            heard=await _heard(visit, kept.record),
            may_listen=may_listen(self._parts, visit),
            people=await _people(visit, kept),
            clock=_clock,
        )

    async def comment(self, visit: Visit) -> Response:
        """Words about a moment of a recording."""
        kept = await self._mine(visit)
        text = (await visit.field("text")).strip()
        recording, moment = await visit.field("recording"), await visit.field("moment")
        if not text or len(text) > COMMENT_CHARS_MAX:
            raise Refused("comment.length", f"A comment has 1 to {COMMENT_CHARS_MAX} characters.", field="text")
        if not any(one.id == recording for one in kept.record.recordings):
            raise Refused("recording.unknown", "This call has no such recording.", field="recording")
        fields = {"recording": recording, "moment_ms": _moment_ms(moment), "text": text}
        return await self._say(visit, "call.commented", fields)

    async def mark(self, visit: Visit) -> Response:
        """How good it was."""
        await self._mine(visit)
        mark, word = await visit.field("mark"), (await visit.field("word")).strip()
        if mark not in MARKS:
            raise Refused("call.mark", f"A call is {', '.join(MARKS[:-1])} or {MARKS[-1]}.", field="mark")
        if len(word) > WORD_CHARS_MAX:
            raise Refused("call.word", f"A word on it has {WORD_CHARS_MAX} characters at most.", field="word")
        return await self._say(visit, "call.marked", {"mark": mark, "word": word})

    async def forget(self, visit: Visit) -> Response:
        """All calls with this contact, and their recordings, are forgotten."""
        found = await self._found(visit)
        if found is None:
            return await visit.missing("call")
        contact, _kept = found
        if visit.session.person.role != "owner":
            raise Refused("call.forbidden", "Only an owner may have calls forgotten.")
        if not contact:
            raise Refused("call.nobody", "Nobody is known to have called: its recordings go when their time is over.")
        if await visit.field("sure") != "yes":
            raise Refused("call.unsure", "Say that you are sure: what is forgotten does not come back.", field="sure")
        return await self._say(visit, "call.forgotten", {"contact": contact}, back="/console/calls")

    async def _say(self, visit: Visit, type_: str, fields: dict[str, Any], back: str = "") -> Response:
        once = (await visit.field("once"))[:64] or fresh("once")
        call = visit.path("call")
        await visit.say(
            Event(
                workspace=visit.workspace,
                source="console",
                id=f"{type_}-{once}",
                type=type_,
                time_ms=visit.now_ms,
                data={"call": call, "by": visit.session.person.id, **fields},
            )
        )
        if visit.request.headers.get("x-requested-with") == "call-player":
            return Response(status_code=204)
        return RedirectResponse(back or f"/console/calls/{call}", 303, headers={"Cache-Control": "no-store"})

    async def _mine(self, visit: Visit) -> Kept:
        """The call, for one who may judge it. Raises ``Refused``."""
        found = await self._found(visit)
        if found is None:
            raise Refused("call.unknown", "There is no such call here.")
        if not may_listen(self._parts, visit):
            raise Refused("recording.forbidden", "Your role may not judge conversations.")
        return found[1]

    async def _found(self, visit: Visit) -> tuple[str, Kept] | None:
        rows = await visit.reader.fetch(
            "SELECT contact, body FROM calls WHERE id = ? AND workspace = ?", (visit.path("call"), visit.workspace)
        )
        return (str(rows[0][0]), decode(str(rows[0][1]))) if rows else None

    def _live(self, visit: Visit, call: str) -> Call | None:
        """The call as it stands now, if it is under way."""
        library = self._parts.workspaces.get(visit.workspace)
        channel = library.channels.get("voice") if library is not None else None
        return channel.caller.live(call) if isinstance(channel, VoiceChannel) else None

    def _has(self, visit: Visit, script: str) -> bool:
        library = self._parts.workspaces.get(visit.workspace)
        return library is not None and script in library.scripts

    async def _script(self, visit: Visit, record: CallRecord) -> Script | None:
        """The script as it was; None where that version is not here."""
        rows = await visit.reader.fetch(
            "SELECT body FROM definitions WHERE workspace = ? AND kind = 'script' AND name = ? AND version = ?",
            (visit.workspace, record.script, record.version),
        )
        try:
            script = parse_script(str(rows[0][0])) if rows else None
        except BeckonError:
            script = None
        if script is None and record.script == SCRIPT:
            script = script_for(1, "en")
        return script


def _drawing(script: Script | None, record: CallRecord, now: str) -> Markup | None:
    """The script with the path that the call took, and the step at which it is."""
    if script is None:
        return None
    return for_both(lambda room: draw(script, taken=record.decisions, current=now, room=room))


def _clock(at_ms: int) -> str:
    return length(max(0, at_ms) // 1_000)


def _moment_ms(text: str) -> int:
    """``83.5`` seconds, or ``1:23``."""
    minutes, colon, seconds = text.strip()[:12].rpartition(":")
    try:
        moment = (int(minutes) * 60 if colon else 0) + float(seconds or 0)
    except ValueError:
        moment = -1.0
    if not 0 <= moment <= 86_400:
        raise Refused("comment.moment", "A moment is written like 83 or 1:23.", field="moment")
    return int(moment * 1_000)


def _listed(row: Sequence[Any]) -> Listed:
    kept = decode(str(row[3]))
    record = kept.record
    return Listed(
        id=record.id,
        contact=str(row[1]),
        record=record,
        word=OUTCOMES.get(record.outcome, record.outcome),
        tone=_TONES.get(record.outcome, "accent"),
        length=length(seconds_of(record)),
        mark=kept.mark.mark if kept.mark is not None else "",
        recorded=any(one.path for one in record.recordings),
    )


async def _rows(reader: Database, workspace: str, outcome: str, under_way: bool, after: str) -> list[Any]:
    """id, contact, started_ms, body, one more than a page."""
    where, values = ["workspace = ?"], [workspace]
    if under_way:
        where.append("ended_ms = 0")
    elif outcome:
        where.append("outcome = ?")
        values.append(outcome)
    at, dot, id_ = after.partition(".")
    more: list[Any] = list(values)
    if dot and at.isascii() and at.isdigit() and len(at) < 16:
        where.append("(started_ms, id) < (?, ?)")
        more += [int(at), id_]
    sql = f"SELECT id, contact, started_ms, body FROM calls WHERE {' AND '.join(where)}"
    return list(await reader.fetch(f"{sql} ORDER BY started_ms DESC, id DESC LIMIT {PAGE + 1}", more))


async def _names(visit: Visit, contacts: Sequence[str]) -> dict[str, str]:
    ids = sorted({contact for contact in contacts if contact})
    if not ids:
        return {}
    found = await visit.reader.fetch_all(within("SELECT id, name FROM contacts WHERE id IN ({keys})", ids))
    return {str(id_): str(name) for rows in found for id_, name in rows}


async def _people(visit: Visit, kept: Kept) -> dict[str, str]:
    """The names of those who commented, marked or listened."""
    ids = {one.by for one in kept.comments} | {one.by for one in kept.listened}
    if kept.mark is not None:
        ids.add(kept.mark.by)
    if not ids:
        return {}
    found = await visit.reader.fetch_all(
        within("SELECT id, name FROM people WHERE workspace = ? AND id IN ({keys})", sorted(ids), [visit.workspace])
    )
    return {str(id_): str(name) for rows in found for id_, name in rows}


async def _heard(visit: Visit, record: CallRecord) -> tuple[Heard, ...]:
    """The call's recordings, and which are still here."""
    if not record.recordings:
        return ()
    sql = "SELECT id FROM recordings WHERE keep_until_ms > ? AND id IN ({keys})"
    found = await visit.reader.fetch_all(within(sql, [one.id for one in record.recordings], [visit.now_ms]))
    here = {str(row[0]) for rows in found for row in rows}
    return tuple(
        Heard(one.id, one.what, one.box, round(one.seconds), one.id in here, one.why)
        for one in record.recordings
        if one.path
    )
