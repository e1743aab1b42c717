"""Voice as a channel: a message is a call. The phone rings, the text is spoken, and a key confirms it.

Delivered: somebody answered and heard it to its end. Read: a key confirmed it; with reply buttons each has its key, and
the reply comes back as any other. Busy, no answer, hung up before the end: failed, so the next channel is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from beckon.core.errors import Refused, Unavailable, Unsupported
from beckon.core.event import Event
from beckon.core.message import Button, Handed, Outbound
from beckon.core.timers import is_open, parse_week, zone_of
from beckon.messaging.channel import Capabilities
from beckon.messaging.contacts import locale_chain
from beckon.telephony.call import About, Call, CallRecord
from beckon.telephony.script import Script
from beckon.telephony.script_reading import parse_script

CHANNEL = PROVIDER = "voice"
SCRIPT = "voice-message"
#: Keys for replies; 9 says it again.
REPLIES_MAX = 8
AGAIN = "9"
_TEXT_MAX = 1_200
_BUSY_S = 15.0

CAPABILITIES = Capabilities(text_max=_TEXT_MAX, reply_buttons=REPLIES_MAX, receipts=("delivered", "read"), spoken=True)

#: What is said after the text, by language: to confirm, for each reply, to hear it again.
_WORDS: dict[str, tuple[str, str, str]] = {
    "en": ("To confirm, press {key}.", "For {reply}, press {key}.", "To hear this again, press 9."),
    "nl": ("Druk op {key} om te bevestigen.", "Voor {reply}, druk op {key}.", "Druk op 9 om dit nog eens te horen."),
    "fr": ("Pour confirmer, tapez {key}.", "Pour {reply}, tapez {key}.", "Pour réécouter, tapez 9."),
    "de": ("Zum Bestätigen drücken Sie die {key}.", "Für {reply} drücken Sie die {key}.", "Noch einmal hören: die 9."),
    "es": ("Para confirmar, pulse {key}.", "Para {reply}, pulse {key}.", "Para oírlo otra vez, pulse 9."),
    "it": ("Per confermare, prema {key}.", "Per {reply}, prema {key}.", "Per riascoltare, prema 9."),
    "pt": ("Para confirmar, prima {key}.", "Para {reply}, prima {key}.", "Para ouvir de novo, prima 9."),
    "pl": ("Aby potwierdzić, naciśnij {key}.", "{reply}: naciśnij {key}.", "Aby usłyszeć ponownie, naciśnij 9."),
}


class Caller(Protocol):
    """Who makes calls."""

    @property
    def time_zone(self) -> str: ...

    @property
    def hours(self) -> str:
        """When people may be called: ``Mon-Sun 08:00-21:00``; empty: always."""
        ...

    @property
    def confirm(self) -> Mapping[str, str]:
        """What is said instead of our own words to confirm, by locale."""
        ...

    @property
    def full(self) -> bool:
        """No further call can be made now."""
        ...

    async def call(self, script: Script, about: About, message: Outbound) -> str:
        """Call somebody; the call's id."""
        ...

    def live(self, call: str) -> Call | None:
        """A call as it stands now; None: it is not under way."""
        ...


class VoiceChannel:
    """Hands messages over by calling."""

    name = CHANNEL
    provider = PROVIDER
    capabilities = CAPABILITIES

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    async def send(self, message: Outbound) -> Handed:
        """Begin a call that says the message. Raises one of the four kinds."""
        text = _speakable(message.rendered.text)
        if not message.to.startswith("+") or not message.to[1:].isdigit():
            raise Refused("voice.number", "this is no phone number that can be called")
        hours, zone = self.caller.hours, self.caller.time_zone
        if hours and not is_open(int(message.extras.get("now_ms") or 0), parse_week(hours), zone_of(None, zone)):
            # At night another channel, or nobody, is better than a ringing phone.
            raise Unsupported("voice.hours", f"people are called at {hours} ({zone}) only")
        if self.caller.full:
            raise Unavailable("voice.full", "as many calls are under way as there may be", retry_after_s=_BUSY_S)
        replies = replies_of(message)
        locale = message.rendered.locale
        about = About(
            contact={"locale": locale},
            results={"text": text, "keys": _keys_said(replies, locale, self.caller.confirm)},
        )
        return Handed(await self.caller.call(script_for(len(replies), locale), about, message))


def replies_of(message: Outbound) -> tuple[Button, ...]:
    """The replies that a key can give."""
    return tuple(button for button in message.rendered.buttons if button.kind == "reply")[:REPLIES_MAX]


def script_for(replies: int, locale: str) -> Script:
    """The script of a call that says a message with so many replies; none: one key confirms it."""
    keys = {str(key): [{"hang_up": "confirmed"}] for key in range(1, max(1, replies) + 1)}
    menu = {
        "menu": {**keys, AGAIN: [{"jump": "message"}]},
        "say": "{{ result.keys }}",
        "within": "8s",
        "tries": 2,
        "on_nothing": [{"hang_up": "heard"}],
    }
    return parse_script(
        msgspec.json.encode(
            {
                "call": SCRIPT,
                "description": "A message that is spoken, and confirmed by a key",
                "locale": locale or "en",
                "limits": {"duration": "10m", "transitions": 40},
                "steps": [
                    {"name": "message", "say": "{{ result.text }}"},
                    {"name": "heard", "branch": "heard", "ways": {"heard": []}, "else": []},
                    menu,
                ],
            }
        ).decode()
    )


def said_of(record: CallRecord, replies: Sequence[Button], delivery: str) -> list[Event]:
    """What a call that is over says of the message that it carried."""

    def event(state: str, type_: str, more: dict[str, Any]) -> Event:
        fields = {"provider": PROVIDER, "provider_id": record.id, "reference": delivery, **more}
        return Event(
            workspace=record.workspace,
            source="beckon/calls",
            id=f"{record.id}-{state}",
            type=type_,
            time_ms=record.ended_ms,
            data=fields,
        )

    unheard = next((one for one in record.decisions if one.what == "a prompt was not heard"), None)
    if unheard is not None or not any(one.what == "heard" for one in record.decisions):
        code, why = _failure(record, unheard.why if unheard is not None else "")
        return [event("failed", "message.failed", {"code": code, "why": why, "kind": "refused"})]
    events = [event("delivered", "message.delivered", {})]
    keys = [one.branch.partition(".")[2] for one in record.decisions if one.branch.startswith("menu.")]
    key = next((one for one in reversed(keys) if one != AGAIN), "")
    if key:
        events.append(event("read", "message.read", {}))
        if replies and int(key) <= len(replies):
            button = replies[int(key) - 1]
            fields = {
                "channel": CHANNEL, "from": record.called, "provider_id": f"{record.id}-key", "context": record.id,
                "text": button.text, "reply": button.value, "delivery": delivery,
            }  # fmt: skip
            events.append(event("reply", "message.received", fields))
    return events


def _failure(record: CallRecord, prompt: str) -> tuple[str, str]:
    if prompt:
        return "voice.prompt", f"the message could not be spoken: {prompt}"
    cause = record.legs[0].cause if record.legs else ""
    if record.outcome == "unreached":
        return f"voice.{cause or 'unreached'}", f"nobody took the call: {(cause or 'not reached').replace('_', ' ')}"
    if record.outcome == "abandoned":
        return "voice.hung_up", "whoever answered hung up before the message was said"
    return "voice.failed", record.why or "the call failed"


def _speakable(text: str) -> str:
    if len(text) > _TEXT_MAX:
        raise Unsupported("voice.too_long", f"a call says at most {_TEXT_MAX} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unsupported("voice.letters", "the message has characters that nobody can say") from None
    said = "".join(sign for sign in text if sign.isprintable() or sign in "\n\t").strip()
    if not any(sign.isalnum() for sign in said):
        raise Unsupported("voice.empty", "there is nothing to say")
    return said


def _keys_said(replies: Sequence[Button], locale: str, own: Mapping[str, str]) -> str:
    chain = locale_chain(locale or "en")
    confirm, reply, again = next(_WORDS[one] for one in chain if one in _WORDS)
    confirm = next((own[one] for one in chain if one in own), confirm)
    if not replies:
        lines = [confirm.replace("{key}", "1")]
    else:
        lines = [
            reply.replace("{reply}", button.text).replace("{key}", str(key)) for key, button in enumerate(replies, 1)
        ]
    return " ".join([*lines, again])
