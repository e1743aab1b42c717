"""Shown: what the demo's page shows of one customer at this moment, read from all parties, ready for the templates."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from beckon.core.command import Send
from beckon.core.delivery import Attempt, Delivery
from beckon.flows.diagram import draw_run
from beckon.flows.run import FINAL, Run
from beckon.inbox.reading import Thread
from beckon.messaging.choose import BEST, LABELS, expand
from beckon.sandbox.cast import Cast
from beckon.sandbox.people import PROVIDER_OF, PUSH, Customer
from beckon.sandbox.twins.party import Shown
from beckon.web.filters import moment
from beckon.web.pictures import for_page
from beckon.workspaces import Library


class App(msgspec.Struct, frozen=True):
    """An app of the customer's phone. ``channel``: whose messages it shows."""

    channel: str
    name: str
    icon: str
    #: what stands in the field to write in; empty: there is nothing to write.
    prompt: str = ""


APPS = {
    "oem_app": App("oem_app", "Drive", "car", "Message"),
    "whatsapp": App("whatsapp", "WhatsApp", "chat", "Message"),
    "sms": App("sms", "Messages", "phone", "Text message"),
    "email": App("email", "Mail", "mail", "Answer the newest mail"),
    "web_push": App("web_push", "Alerts", "bell"),
}
#: Notifications of a browser and of an app lie on the same lock screen.
_APP_OF = {"fcm": "web_push"}
_ICONS = {app.channel: app.icon for app in APPS.values()} | {"fcm": "bell"}
_SHORT = {
    "oem_app": "App",
    "whatsapp": "WhatsApp",
    "sms": "SMS",
    "email": "Mail",
    "web_push": "Push",
    "fcm": "Push",
}
_WIRES = {
    "oem_app": "signed JSON",
    "whatsapp_cloud": "Meta’s Cloud API",
    "twilio_sms": "Twilio’s API",
    "smtp": "SMTP",
    "web_push": "Web Push, sealed",
    "fcm": "Firebase’s API",
}
_SENDING = (
    ("well", "Works"),
    ("down", "Is down"),
    ("rate_limited", "Says 429, slow down"),
    ("template_rejected", "Rejects the template"),
    ("number_invalid", "Number is invalid"),
    ("slow", "Is slow"),
    ("fail_later", "Fails later"),
)
_RECEIPTS = (
    ("ordered", "In order"),
    ("out_of_order", "Out of order"),
    ("duplicated", "Each twice"),
    ("late", "10 minutes late"),
    ("none", "None"),
)
_SLOW_MS = 3_000
#: Of the diagram's own size: what doesn't fit is scrolled.
_SCALE = 0.76
#: How wide it may be, in its own units.
_ROOM = 990.0


class Moment(msgspec.Struct):
    """Everything about one customer, read once."""

    customer: Customer
    talk: Thread | None
    deliveries: list[Delivery]
    runs: list[Run]

    @property
    def contact(self) -> str:
        """The contact's id; empty: nobody knows them yet."""
        return self.talk.contact.id if self.talk is not None else ""


async def look(cast: Cast, customer: Customer) -> Moment:
    """Read everything about a customer."""
    return Moment(
        customer,
        await cast.conversation(customer),
        await cast.deliveries(customer),
        await cast.runs(customer),
    )


def steps(
    titles: Sequence[str], details: Sequence[str], done: Sequence[bool], lost: int = -1, letters: str = "ABCDEFGH"
) -> list[dict[str, str]]:
    """A story's steps with their states: done, now, next, bad (``lost``: the step that came to nothing).

    Whatever came after a step says that the step was taken: nobody reports that a text message was read.
    """
    taken = [any(done[index:]) for index in range(len(done))]
    now = taken.index(False) if False in taken else -1
    shown: list[dict[str, str]] = []
    for index, (title, detail) in enumerate(zip(titles, details, strict=True)):
        state = "done" if taken[index] else "bad" if index == lost else "now" if index == now else "next"
        shown.append({"letter": letters[index], "title": title, "detail": detail, "state": state})
    return shown


def reach(customer: Customer, channels: Sequence[str], known: bool) -> dict[str, Any]:
    """Which channels the customer has."""
    return {
        "first_name": customer.first_name,
        "known": known,
        "has": [{"channel": channel, "label": _SHORT[channel], "on": channel in customer.has} for channel in channels],
    }


def app_messages(cast: Cast, customer: Customer, app: str, time_zone: str) -> list[dict[str, Any]]:
    """One app's messages with the days between them."""
    shown: list[dict[str, Any]] = []
    before = None
    found = [(message, one) for one in channels_of(app) for message in cast.on_phone(customer, one)]
    for message, one in sorted(found, key=lambda pair: pair[0].at_ms):
        that_day = moment(message.at_ms, time_zone).date()
        shown.append({"message": message, "channel": one, "new_day": that_day != before})
        before = that_day
    return shown


def channels_of(app: str) -> tuple[str, ...]:
    """The channels whose messages an app of the phone shows."""
    return tuple([channel for channel in PROVIDER_OF if _APP_OF.get(channel, channel) == app])


def apps_of(has: Sequence[str]) -> list[str]:
    """The apps of a phone that has these channels."""
    return list(dict.fromkeys([_APP_OF.get(channel, channel) for channel in has]))


def newest_unseen(
    cast: Cast, customer: Customer, business: str, seen: set[str]
) -> tuple[dict[str, int], dict[str, Any] | None]:
    """How many messages of each app were not looked at yet, and the newest of them for the notification."""
    counts: dict[str, int] = {}
    newest: tuple[int, str, Shown] | None = None
    for channel in PROVIDER_OF:
        app = _APP_OF.get(channel, channel)
        for message in cast.on_phone(customer, channel):
            if message.own or message.id in seen:
                continue
            counts[app] = counts.get(app, 0) + 1
            if newest is None or message.at_ms >= newest[0]:
                newest = (message.at_ms, app, message)
    if newest is None:
        return counts, None
    at_ms, app, message = newest
    return counts, {
        "id": message.id,
        "app": app,
        "title": message.subject or business,
        "text": message.text[:160],
        "at_ms": at_ms,
    }


def flow(library: Library, seen: Moment, titles: Mapping[str, str], wanted: str, now_ms: int) -> dict[str, Any] | None:
    """The run that is shown as its flow's diagram: the one that was chosen, else the newest."""
    run = next((one for one in seen.runs if one.id == wanted), seen.runs[-1] if seen.runs else None)
    found = library.flow(run.flow, run.version) if run is not None else None
    if run is None or found is None:
        return None
    others = [
        {"id": one.id, "title": titles.get(one.flow, one.flow), "chosen": one.id == run.id} for one in seen.runs[-4:]
    ]
    return {
        "title": f"{titles.get(run.flow, run.flow)} for {seen.customer.name}",
        "status": run.status,
        "drawing": for_page(draw_run(found, run, room=_ROOM), _SCALE),
        "waits": "" if run.status in FINAL else _waits(run, now_ms),
        "others": others if len(others) > 1 else [],
    }


def _waits(run: Run, now_ms: int) -> str:
    words = []
    for wait in run.waiting:
        names = " or ".join([awaited.type for awaited in wait.keys])
        left_ms = wait.deadline_ms - now_ms
        until = f"for {_span(left_ms)} more" if wait.deadline_ms and left_ms > 0 else ""
        words.append(" ".join([part for part in ("Waits for " + names if names else "Waits", until) if part]))
    return "; ".join(words)


def _span(length_ms: int) -> str:
    minutes = max(1, round(length_ms / 60_000))
    if minutes < 60:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} days"


def choice(library: Library, seen: Moment) -> dict[str, Any]:
    """The newest message's channel and every other one, with its reason, in the order that its step wanted."""
    delivery = seen.deliveries[-1] if seen.deliveries else None
    asked = msgspec.convert(delivery.command, Send) if delivery is not None and delivery.command else None
    via = asked.via if asked is not None else (BEST,)
    order = [channel for channel in expand(via, library.settings.channels) if channel in PROVIDER_OF]
    made = delivery.choice if delivery is not None else None
    passed = {one.channel: one.reason for one in made.passed_over} if made is not None else {}
    ladder = []
    for channel in order:
        state, reason = "next", ""
        if made is not None and channel == made.channel:
            state, reason = "chosen", _sentence(made.reason)
        elif channel in passed:
            state, reason = "passed", _sentence(passed[channel])
        elif made is not None:
            state = "after"
        ladder.append(
            {"channel": channel, "label": LABELS[channel], "icon": _ICONS[channel], "state": state, "reason": reason}
        )
    if delivery is None or made is None:
        return {"ladder": ladder, "choice": None}
    tries = [_attempt(one) for one in delivery.attempts[-6:]]
    return {
        "ladder": ladder,
        "choice": {
            "id": delivery.id,
            "state": delivery.state,
            "error": ""
            if made.channel
            else "No channel was left: the conversation has an error entry with every reason.",
            "attempts": tries if len(tries) > 1 or any(one["tone"] != "good" for one in tries) else [],
        },
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    tone = {"sent": "good", "unavailable": "warn", "doubtful": "warn"}.get(one.outcome, "bad")
    what = f"{LABELS.get(one.channel, one.channel)}: {one.outcome}"
    return {"what": what, "why": _sentence(one.why), "tone": tone, "at_ms": one.at_ms}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text else ""


def faults(cast: Cast, channels: Sequence[str]) -> list[dict[str, Any]]:
    """What goes wrong at each of these channels' providers, and what could."""
    shown = []
    for channel in channels:
        name = PROVIDER_OF[channel]
        unlikely = {"template_rejected"} if name != "whatsapp_cloud" else set()
        if channel in PUSH:
            unlikely.add("fail_later")  # nothing is ever said of a notification
        is_sending, is_receipts = sending_of(cast, name), cast.twins[name].faults.receipts
        possible = [one for one in _SENDING if one[0] not in unlikely]
        shown.append(
            {
                "name": name,
                "channel": channel,
                "icon": _ICONS[channel],
                "label": LABELS[channel],
                "wire": _WIRES[name],
                "sending": possible,
                "is_sending": is_sending,
                "receipts": _RECEIPTS if name != "smtp" and channel not in PUSH else (),
                "is_receipts": is_receipts,
                "faulty": is_sending != "well" or is_receipts != "ordered",
            }
        )
    return shown


def sending_of(cast: Cast, provider: str) -> str:
    """Which fault of sending is switched on; ``well``: none."""
    current = cast.twins[provider].faults
    for name in ("down", "rate_limited", "template_rejected", "number_invalid", "fail_later"):
        if getattr(current, name):
            return name
    return "slow" if current.slow_ms else "well"


def set_fault(cast: Cast, provider: str, field: str, value: str) -> bool:
    """Switch a fault on or off; False: there is no such one."""
    if provider not in cast.twins.names():
        return False
    current = cast.twins[provider].faults
    if field == "receipts" and value in dict(_RECEIPTS):
        current.receipts = value  # type: ignore[assignment]
        return True
    if field != "sending" or value not in dict(_SENDING):
        return False
    for name in ("down", "rate_limited", "template_rejected", "number_invalid", "fail_later"):
        setattr(current, name, name == value)
    current.slow_ms = _SLOW_MS if value == "slow" else 0
    return True
