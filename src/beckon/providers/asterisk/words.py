"""Asterisk's words: causes as we say them, prompts as it plays them. Pure."""

from typing import Any
from urllib.parse import quote

from beckon.core.errors import Refused, Unsupported
from beckon.providers.asterisk.settings import AsteriskSettings
from beckon.telephony.switch import Cause, File, Prompt, Silence, Tone

#: Q.850, as ``ChannelDestroyed`` has it.
_CAUSES: dict[int, Cause] = {
    0: "normal",
    1: "not_found",
    3: "unreachable",
    16: "normal",
    17: "busy",
    18: "no_answer",
    19: "no_answer",
    20: "unreachable",
    21: "declined",
    22: "not_found",
    26: "cancelled",
    27: "unreachable",
    28: "not_found",
    32: "normal",
    34: "congestion",
    38: "unreachable",
    41: "unreachable",
    42: "congestion",
    44: "congestion",
    57: "not_allowed",
    58: "no_codec",
    65: "no_codec",
    88: "no_codec",
    102: "no_answer",
    127: "failed",
}
_REASONS: dict[Cause, str] = {
    "busy": "busy",
    "declined": "rejected",
    "no_answer": "no_answer",
    "congestion": "congestion",
    "not_found": "unallocated",
    "too_long": "timeout",
}
_REJECTS = {486: "busy", 404: "unallocated", 480: "no_answer", 503: "congestion"}


def cause_of(number: Any) -> Cause:
    """Their cause as ours."""
    return _CAUSES.get(number, "failed") if isinstance(number, int) else "normal"


def reason_of(cause: Cause) -> str:
    """Why we end a channel, in their word."""
    return _REASONS.get(cause, "normal")


def reason_for(status: int) -> str:
    """Why we refuse a call, as the word that becomes this SIP status."""
    return _REJECTS.get(status, "rejected")


def media_of(prompt: Prompt, settings: AsteriskSettings) -> str:
    """A prompt as they play it. Raises ``Unsupported``."""
    if isinstance(prompt, File):
        if "://" in prompt.path:
            return f"sound:{_listed(prompt.path)}"
        return f"sound:{_listed(settings.prompts_folder)}/{_listed(prompt.path.rpartition('.')[0] or prompt.path)}"
    if isinstance(prompt, Tone):
        return "sound:beep"
    if isinstance(prompt, Silence):
        return f"sound:silence/{min(10, max(1, round(prompt.duration_ms / 1_000)))}"
    if settings.speak_url:
        url = settings.speak_url.replace("{text}", quote(prompt.text, safe=""))
        return f"sound:{_listed(url.replace('{locale}', quote(prompt.locale, safe='')))}"
    raise Unsupported("asterisk.prompt", "Asterisk speaks no words here: set speak_url, or play a file")


def waiting_media(prompts: tuple[Prompt, ...], settings: AsteriskSettings) -> str:
    """What a leg hears over and over: a tone with its pause, or prompts."""
    if prompts and isinstance(prompts[0], Tone):
        pause = next((one.duration_ms for one in prompts if isinstance(one, Silence)), 0)
        hertz = "+".join(f"{one:g}" for one in prompts[0].hertz)
        return f"tone:{hertz}/{prompts[0].duration_ms},0/{pause or 1}"
    return ",".join(media_of(prompt, settings) for prompt in prompts)


def endpoint_of(to: str, settings: AsteriskSettings) -> str:
    """How a number is dialled. Raises ``Refused`` for what can't be."""
    number = to if settings.plus else to.removeprefix("+")
    if not number or any(char in number for char in " ,&/@\"'<>;()\r\n"):
        raise Refused("call.number", f"{number[:40]!r} can't be dialled")
    return settings.endpoint.replace("{number}", number)


def number_of(text: Any) -> str:
    """``74952345678`` → ``+74952345678``; extensions stay."""
    number = str(text or "")
    return f"+{number}" if number.isascii() and number.isdigit() and len(number) >= 8 else number


def _listed(text: str) -> str:
    """Without a comma: that begins the next media of the list."""
    if "," in text:
        raise Refused("asterisk.media", "a prompt's name holds a comma")
    return text
