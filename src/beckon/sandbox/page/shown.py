"""Shown: what the demo's page shows of one visit at this moment, read from all parties, ready for the templates."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from beckon.core.delivery import Attempt, Delivery
from beckon.flows.diagram import draw_run
from beckon.flows.run import FINAL, Run
from beckon.inbox.reading import Thread
from beckon.messaging.choose import LABELS
from beckon.sandbox.cast import Cast
from beckon.sandbox.page.day import STATUSES, Day, Planned
from beckon.sandbox.people import CHANNELS, PROVIDER_OF, PUSH
from beckon.sandbox.twins.party import Shown
from beckon.web.filters import moment
from beckon.workspaces import Library

APPS = (
    {"channel": "oem_app", "name": "Drive", "icon": "car", "prompt": "Message"},
    {"channel": "whatsapp", "name": "WhatsApp", "icon": "chat", "prompt": "Message"},
    {"channel": "sms", "name": "Messages", "icon": "phone", "prompt": "Text message"},
    {"channel": "email", "name": "Mail", "icon": "mail", "prompt": "Answer the newest mail"},
    {"channel": "web_push", "name": "Alerts", "icon": "bell", "prompt": ""},
)
CHANNELS_SHOWN = (*CHANNELS, *PUSH)
#: What a visitor switches: of the two that the lock screen shows, the one that needs no app.
_SWITCHED = (*CHANNELS, "web_push")
#: Notifications of a browser and of an app lie on the same lock screen.
_APP_OF = {"fcm": "web_push"}
_ICONS = {str(app["channel"]): app["icon"] for app in APPS} | {"fcm": "bell"}
_SHORT = {
    "oem_app": "App",
    "whatsapp": "WhatsApp",
    "sms": "SMS",
    "email": "Mail",
    "web_push": "Push",
}
_WIRES = {
    "oem_app": "signed JSON",
    "whatsapp_cloud": "Meta’s Cloud API",
    "twilio_sms": "Twilio’s API",
    "smtp": "SMTP",
    "web_push": "Web Push, sealed",
}
FLOW_TITLES = {
    "service-checkin": "Check-in",
    "service-video": "Service video",
    "service-status": "Status",
    "payment-information": "Payment",
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
_OWN_STYLE = re.compile(r"^(<svg\b[^>]*?) style=\"[^\"]*\"")
_WIDTH = re.compile(r"viewBox=\"\S+ \S+ ([\d.]+) ")
#: Of the diagram's own size: what doesn't fit is scrolled.
_SCALE = 0.76
_STATE_WORDS = {"checked": ("Checked in", "good"), "opened": ("Checking in", "accent")}


class Moment(msgspec.Struct):
    """Everything about one visit, read once."""

    planned: Planned
    talk: Thread | None
    deliveries: list[Delivery]
    runs: list[Run]

    @property
    def contact(self) -> str:
        """The contact's id; empty: nobody knows them yet."""
        return self.talk.contact.id if self.talk is not None else ""


async def look(cast: Cast, planned: Planned) -> Moment:
    """Read everything about a visit."""
    customer = planned.customer
    return Moment(
        planned,
        await cast.conversation(customer),
        await cast.deliveries(customer),
        await cast.runs(customer),
    )


def story(cast: Cast, seen: Moment) -> list[dict[str, str]]:
    """The seed's eight steps with their states: done, now, next, bad."""
    planned, visit = seen.planned, seen.planned.visit
    run = next((one for one in seen.runs if one.flow == "service-checkin"), None)
    first = next((one for one in seen.deliveries if run is not None and one.run == run.id), None)
    choice = first.choice if first is not None else None
    channel = choice.channel if choice is not None else ""
    phone = [
        one
        for app in CHANNELS_SHOWN
        for one in cast.on_phone(planned.customer, app)
        if first and one.reference == first.id
    ]
    entries = seen.talk.entries if seen.talk is not None else ()
    kinds = {entry.kind for entry in entries if entry.author == "flow:service-checkin"}
    lost = first is not None and first.state == "undeliverable"
    planned.lost = lost
    done = [
        run is not None,
        bool(channel),
        bool(phone),
        any(one.state == "read" for one in phone),
        visit.opened_ms > 0,
        visit.finished_ms > 0,
        "results" in kinds,
        "results" in kinds and "notice" in kinds,
    ]
    # Whatever came after a step says that the step was taken: nobody reports that a text message was read.
    done = [any(done[index:]) for index in range(len(done))]
    details = (
        "checkin.start",
        LABELS.get(channel, channel) if channel else "no channel" if lost else "the first that can",
        "a push on the phone",
        "opened and read",
        "opens the check-in",
        "takes two minutes",
        "checkin.finished",
        "Service advisors",
    )
    titles = ("Event", "Best channel", "Notified", "Invitation", "Button", "Check-in", "Results", "Team told")
    steps: list[dict[str, str]] = []
    now = done.index(False) if False in done else -1
    for index, (title, detail) in enumerate(zip(titles, details, strict=True)):
        state = "done" if done[index] else "bad" if lost and index == 1 else "now" if index == now else "next"
        steps.append({"letter": "ABCDEFGH"[index], "title": title, "detail": detail, "state": state})
    return steps


def visits(day: Day, chosen: str, seen: Moment, time_zone: str) -> dict[str, Any]:
    """The business system's day."""
    listed = []
    for planned in day.planned.values():
        words, tone = _visit_state(planned)
        vehicle = planned.vehicle
        listed.append(
            {
                "id": planned.id,
                "time": planned.time,
                "name": planned.customer.name,
                "vehicle": f"{vehicle['make']} {vehicle['model']}",
                "plate": vehicle["plate"],
                "work": planned.work,
                "state": words,
                "tone": tone,
                "chosen": planned.id == chosen,
                "fresh": planned.last is None,
            }
        )
    status = STATUSES[seen.planned.status % len(STATUSES)][1]
    acts = [
        {"name": "checkin", "label": "Start check-in", "icon": "send"},
        {"name": "video", "label": "Send service video", "icon": "bolt"},
        {"name": "status", "label": f"Status: {status}", "icon": "tool"},
        {"name": "payment", "label": "Payment ready", "icon": "check-circle"},
    ]
    return {"visits": listed, "acts": acts, "visit_day": moment(day.begins_ms, time_zone).strftime("%A")}


def _visit_state(planned: Planned) -> tuple[str, str]:
    if planned.visit.finished_ms:
        return _STATE_WORDS["checked"]
    if planned.visit.opened_ms:
        return _STATE_WORDS["opened"]
    if planned.lost:
        return "Not reached", "bad"
    return ("Invited", "accent") if planned.invited else ("Planned", "")


def reach(planned: Planned, known: bool) -> dict[str, Any]:
    """Which channels the customer has."""
    return {
        "first_name": planned.customer.first_name,
        "known": known,
        "has": [
            {"channel": channel, "label": _SHORT[channel], "on": channel in planned.customer.has}
            for channel in _SWITCHED
        ],
    }


def app_messages(cast: Cast, planned: Planned, channel: str, time_zone: str) -> list[dict[str, Any]]:
    """One app's messages with the days between them."""
    shown: list[dict[str, Any]] = []
    before = None
    found = [(message, one) for one in channels_of(channel) for message in cast.on_phone(planned.customer, one)]
    for message, one in sorted(found, key=lambda pair: pair[0].at_ms):
        that_day = moment(message.at_ms, time_zone).date()
        shown.append({"message": message, "channel": one, "new_day": that_day != before})
        before = that_day
    return shown


def channels_of(app: str) -> tuple[str, ...]:
    """The channels whose messages an app of the phone shows."""
    return tuple([channel for channel in CHANNELS_SHOWN if _APP_OF.get(channel, channel) == app])


def apps_of(has: Sequence[str]) -> list[str]:
    """The apps of a phone that has these channels."""
    return list(dict.fromkeys([_APP_OF.get(channel, channel) for channel in has]))


def newest_unseen(cast: Cast, planned: Planned, seen: set[str]) -> tuple[dict[str, int], dict[str, str] | None]:
    """How many messages of each app were not looked at yet, and the newest of them for the notification."""
    counts: dict[str, int] = {}
    newest: tuple[int, str, Shown] | None = None
    for channel in CHANNELS_SHOWN:
        app = _APP_OF.get(channel, channel)
        for message in cast.on_phone(planned.customer, channel):
            if message.own or message.id in seen:
                continue
            counts[app] = counts.get(app, 0) + 1
            if newest is None or message.at_ms >= newest[0]:
                newest = (message.at_ms, app, message)
    if newest is None:
        return counts, None
    _, app, message = newest
    return counts, {
        "id": message.id,
        "app": app,
        "title": message.subject or cast.wvp.config.business_name,
        "text": message.text[:160],
    }


def flow(library: Library, seen: Moment, wanted: str, now_ms: int) -> dict[str, Any] | None:
    """The run that is shown as its flow's diagram: the one that was chosen, else the newest."""
    run = next((one for one in seen.runs if one.id == wanted), seen.runs[-1] if seen.runs else None)
    found = library.flow(run.flow, run.version) if run is not None else None
    if run is None or found is None:
        return None
    others = [
        {"id": one.id, "title": FLOW_TITLES.get(one.flow, one.flow), "chosen": one.id == run.id}
        for one in seen.runs[-4:]
    ]
    return {
        "title": f"{FLOW_TITLES.get(run.flow, run.flow)} for {seen.planned.customer.name}",
        "status": run.status,
        "drawing": _for_page(draw_run(found, run, styled=False)),
        "waits": "" if run.status in FINAL else _waits(run, now_ms),
        "others": others if len(others) > 1 else [],
    }


def _for_page(svg: str) -> Markup:
    """The diagram at a readable size, without the style that it brings along: the page's policy allows files only."""
    width = _WIDTH.search(svg)
    size = f' width="{float(width[1]) * _SCALE:.0f}"' if width else ""
    return Markup(_OWN_STYLE.sub(rf"\1{size}", svg, count=1))  # noqa: S704 -- our own diagram, its texts escaped


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
    """The newest message's channel and every other one, with its reason."""
    order = [channel for channel in library.settings.channels if channel in CHANNELS_SHOWN]
    delivery = seen.deliveries[-1] if seen.deliveries else None
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


def faults(cast: Cast) -> list[dict[str, Any]]:
    """What goes wrong at each provider, and what could."""
    shown = []
    for channel in _SWITCHED:
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
