"""Running: the calls of a workspace's own switch: which script a number has, what is known of who calls, who answers.

``open_calls`` gives a runner; hand its ``listen`` to a switch as it is opened, the switch to ``use``, and ``close`` it
before the switch. A number's script is the one that is current when somebody calls.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from beckon.core.contact import Contact
from beckon.core.errors import Misconfigured, Refused
from beckon.core.event import Json
from beckon.flows.run import decode_run
from beckon.journeys.call_processing.asked import asked_event
from beckon.journeys.call_processing.dialect import Asked, international
from beckon.journeys.call_processing.kept import decode
from beckon.journeys.part import JourneyParts
from beckon.messaging.contacts import normalise_phone
from beckon.store.database import Database
from beckon.telephony.call import About, Call
from beckon.telephony.calls import Calls, Chosen, Finish
from beckon.telephony.orders import Ask
from beckon.telephony.questions import Dialect, Outside, Questions
from beckon.telephony.switch import LegOffered
from beckon.workspaces import Library

log = logging.getLogger("beckon.calls")

_contact = msgspec.json.Decoder(Contact).decode


def open_calls(
    parts: JourneyParts,
    library: Library,
    outside: Outside,
    dialects: Mapping[str, Dialect],
    finish: Finish,
    *,
    started: Callable[[Call], None] | None = None,
    moved: Callable[[Call], None] | None = None,
) -> Calls:
    """A runner for one workspace's calls. Raises ``Misconfigured`` for a script that is missing."""
    telephony = library.settings.telephony
    for number, name in telephony.numbers.items():
        if name not in library.scripts:
            raise Misconfigured(
                "script.unknown",
                f"numbers names the script {name!r} for {number}; there is none",
                field=f"telephony.numbers.{number}",
            )

    async def choose(offered: LegOffered) -> Chosen | None:
        numbers = telephony.numbers
        called = international(offered.called)
        name = numbers.get(offered.called) or numbers.get(called) or numbers.get("*")
        script = library.scripts.get(name) if name else None
        if script is None:
            return None
        return Chosen(workspace=library.workspace, script=script, about=await known_of(parts.reader, library, offered))

    async def ours(ask: Ask, workspace: str) -> Json:
        asked = Asked(**dict(_UNTOLD | dict(ask.told)))
        event = asked_event(library, asked, "own", parts.clock.now_ms())
        return await parts.ask(event, ask.timeout_ms / 1_000)

    def secret(workspace: str, name: str) -> str:
        return library.secret(name)

    questions = Questions(parts.clock, outside, dialects, ours, secret)
    return Calls(parts.clock, questions, choose, finish, started=started, moved=moved, calls_max=telephony.calls_max)


#: What a script may leave unsaid, and a flow counts on.
_UNTOLD = {"call": "", "session": "", "caller": "", "called": ""}


async def known_of(reader: Database, library: Library, offered: LegOffered) -> About:
    """What is known of who calls; nothing more than the workspace's own values where that can't be told."""
    settings = library.settings
    about = About(
        settings=dict(settings.values),
        codes=dict(settings.secrets),
        time_zone=settings.time_zone,
        prompts=str(library.folder.absolute() / "prompts"),
    )
    try:
        number = normalise_phone(international(offered.caller), settings.region)
    except Refused:
        return about  # withheld, an extension, a name
    rows = await reader.fetch(
        "SELECT c.body FROM addresses a JOIN contacts c ON c.id = a.contact"
        " WHERE a.workspace = ? AND a.channel IN ('sms', 'voice') AND a.external_id = ? LIMIT 1",
        (library.workspace, number),
    )
    if not rows:
        return about
    contact = _contact(str(rows[0][0]))
    calls, runs = await reader.fetch_all(
        (
            ("SELECT body FROM calls WHERE contact = ? ORDER BY started_ms DESC LIMIT 20", (contact.id,)),
            ("SELECT body FROM runs WHERE contact = ? ORDER BY created_ms DESC LIMIT 1", (contact.id,)),
        )
    )
    managers = {"personal": contact.fields.get("manager", ""), "last": _last_partner([str(row[0]) for row in calls])}
    return msgspec.structs.replace(
        about,
        contact=_as_scripts_see(contact),
        managers={name: number for name, number in managers.items() if number},
        results=dict(decode_run(str(runs[0][0])).variables) if runs else {},
    )


def _as_scripts_see(contact: Contact) -> dict[str, Any]:
    fields: dict[str, Any] = {**contact.fields, "id": contact.id, "name": contact.name, "locale": contact.locale}
    segments = contact.fields.get("segments", "")
    return {**fields, "segments": [one.strip() for one in segments.split(",") if one.strip()]}


def _last_partner(bodies: list[str]) -> str:
    """The number that the contact talked with last."""
    for body in bodies:
        for leg in reversed(decode(body).record.legs):
            if leg.role == "callee" and leg.answered_ms:
                return leg.number
    return ""
