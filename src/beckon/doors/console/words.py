"""Words: how states, channels and waits read for people. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from beckon.core.delivery import Delivery
from beckon.flows.matching import canonical, wait_key
from beckon.flows.run import Run, Wait
from beckon.web.filters import moment


class State(msgspec.Struct, frozen=True):
    """A state for people. ``tone``: quiet, info, good, warn, bad. ``mark``: the tick under a message."""

    word: str
    tone: str
    means: str
    mark: str = "dot"


DELIVERY: dict[str, State] = {
    "queued": State("Queued", "quiet", "It waits for its turn.", "clock"),
    "scheduled": State("Scheduled", "quiet", "It waits for its time.", "clock"),
    "sending": State("Sending", "info", "It is being handed to the provider.", "clock"),
    "sent": State("Sent", "info", "The provider has it; no receipt yet.", "tick"),
    "delivered": State("Delivered", "good", "It reached the contact's device or mailbox.", "ticks"),
    "read": State("Read", "good", "The contact opened it.", "read"),
    "retrying": State("Trying again", "warn", "A try failed; the next one is planned.", "clock"),
    "doubtful": State("Doubtful", "warn", "It is unknown whether the provider has it.", "question"),
    "failed": State("Failed", "bad", "The provider could not deliver it; another channel may follow.", "cross"),
    "undeliverable": State("Not delivered", "bad", "No channel could carry it.", "cross"),
    "cancelled": State("Cancelled", "quiet", "It was called off before it was sent.", "cross"),
}

RUN: dict[str, State] = {
    "running": State("Running", "info", "It is taking its steps."),
    "waiting": State("Waiting", "info", "It waits for an event or a time."),
    "done": State("Done", "good", "It came to its end."),
    "stopped": State("Stopped", "quiet", "It ended early, as the flow says."),
    "failed": State("Failed", "bad", "It met an error and ended."),
}

APPROVAL: dict[str, State] = {
    "approved": State("Approved", "good", "May be sent outside the 24-hour window."),
    "pending": State("In review", "warn", "Not yet approved."),
    "rejected": State("Rejected", "bad", "May not be sent; change it and submit it again."),
    "paused": State("Paused", "warn", "Paused for its quality; other channels are taken meanwhile."),
    "disabled": State("Disabled", "bad", "Switched off by the provider."),
}

OUTCOME_TONE = {
    "sent": "good",
    "doubtful": "warn",
    "unavailable": "warn",
    "refused": "bad",
    "gone": "bad",
    "unsupported": "quiet",
    "misconfigured": "bad",
}

CHANNELS = {
    "oem_app": "OEM app",
    "whatsapp": "WhatsApp",
    "sms": "SMS",
    "email": "Email",
    "web_push": "Web push",
    "fcm": "App push",
    "voice": "Voice call",
}


def sentence(text: str) -> str:
    """The words with a capital at their beginning, unless they begin with the name of an event."""
    return text if "." in text.partition(" ")[0] else text[:1].upper() + text[1:]


def channel_word(name: str) -> str:
    """A channel's name for people."""
    return CHANNELS.get(name) or name.replace("_", " ").capitalize() or "No channel"


def delivery_state(delivery: Delivery) -> State:
    """The state as it is shown: doubt stands above what a receipt hasn't cleared up yet."""
    if delivery.doubtful and delivery.state not in ("delivered", "read"):
        return DELIVERY["doubtful"]
    return DELIVERY.get(delivery.state) or State(delivery.state, "quiet", "")


def state(table: Mapping[str, State], name: str) -> State:
    """A state by its name; one that the table lacks is shown as it is."""
    return table.get(name) or State(name.capitalize(), "quiet", "")


def reason(delivery: Delivery) -> str:
    """Why a delivery stands where it stands, in one line: the last trouble, or why its channel was taken."""
    if delivery.attempts and delivery.attempts[-1].outcome != "sent":
        return delivery.attempts[-1].why
    if delivery.state == "failed" and delivery.receipts and delivery.receipts[-1][2]:
        return delivery.receipts[-1][2]
    choice = delivery.choice
    if choice is None:
        return ""
    if not choice.channel and choice.passed_over:
        return "; ".join(f"{channel_word(one.channel)}: {one.reason}" for one in choice.passed_over)
    return choice.reason


class Resend(msgspec.Struct, frozen=True):
    """What the button for sending again says and does; ``possible`` False: why there is none."""

    possible: bool
    says: str
    #: set where the contact may get it twice.
    warning: str = ""
    label: str = "Send again"


def resend(delivery: Delivery) -> Resend:
    """An honest answer to "can I send this again?"."""
    channel = channel_word(delivery.choice.channel) if delivery.choice and delivery.choice.channel else "a channel"
    if delivery.doubtful or delivery.state == "doubtful":
        return Resend(
            True,
            "Chooses the best channel anew and hands the message over once more.",
            f"It is unknown whether {channel} took it the first time, so it may arrive twice.",
            "Send again, even if it arrives twice",
        )
    match delivery.state:
        case "undeliverable" | "failed":
            return Resend(True, "Chooses the best channel anew and sends it. Nothing has reached the contact so far.")
        case "cancelled":
            return Resend(True, "Puts the message back into the queue. It was called off before it was sent.")
        case "sent":
            return Resend(
                False, f"{channel} has it and no receipt says that it failed. Sending it again would be twice."
            )
        case "delivered" | "read":
            return Resend(False, "It arrived. To say it again, write a message in the conversation.")
        case _:
            return Resend(False, "It is still on its way: there is nothing to send again yet.")


def until(at_ms: int, now_ms: int, time_zone: str) -> str:
    """An instant as one says it: ``tomorrow 09:00``, ``today 17:30``, ``Tue 24 Nov, 09:00``."""
    at, now = moment(at_ms, time_zone), moment(now_ms, time_zone)
    days = (at.date() - now.date()).days
    clock = f"{at:%H:%M}"
    if days in (-1, 0, 1):
        return f"{('yesterday', 'today', 'tomorrow')[days + 1]} {clock}"
    form = "%a %-d %b" if at.year == now.year else "%-d %b %Y"
    return f"{at.strftime(form)}, {clock}"


def wait_words(run: Run, wait: Wait, now_ms: int, time_zone: str) -> str:
    """What a run waits for: ``waits for checkin.finished with visit V-1 until tomorrow 09:00``."""
    if wait.command:
        said = ["what becomes of its last step"]
    else:
        said = [f"{one.type}{_with(run, one.type, one.names, one.key)}" for one in wait.keys]
    end = until(wait.deadline_ms, now_ms, time_zone) if wait.deadline_ms else ""
    if not said:
        return f"waits until {end}" if end else "waits"
    return f"waits for {' or '.join(said)}" + (f" until {end}" if end else "")


def _with(run: Run, event_type: str, names: tuple[str, ...], key: str) -> str:
    """The values that a wait compares. Its key is a digest: a value is said only where it makes that same digest."""
    shown = [name for name in names if not name.startswith("@")]
    values = {name: _at(run.variables.get("event"), name) for name in shown}
    values.update({name: run.contact for name in names if name == "@contact"})
    complete = [(name, value) for name, value in values.items() if value is not None]
    if len(complete) == len(names) and wait_key(run.workspace, event_type, complete) == key:
        told = [f"{name} {value}" for name, value in complete if name != "@contact"]
    else:
        told = [f"its own {name}" for name in shown]
    if "@contact" in names and not told:
        return " from this contact"
    return f" with {' and '.join(told)}" if told else ""


def _at(event: Any, name: str) -> str | None:
    found: Any = event.get("data") if isinstance(event, Mapping) else None
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return canonical(found)


_WAYS = {
    "then": "yes", "else": "otherwise", "on_timeout": "nothing came", "on_error": "failed",
    "on_undeliverable": "undeliverable", "on_missing": "none",
}  # fmt: skip


def way_word(branch: str) -> str:
    """The way that a run took at a step, as people call it; empty where what happened says it already."""
    return _WAYS.get(branch, "")
