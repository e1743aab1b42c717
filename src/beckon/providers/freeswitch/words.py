"""FreeSWITCH's words: commands as it reads them, causes as we do. Pure."""

import uuid
from hashlib import blake2b

from beckon.core.errors import Refused, Unsupported
from beckon.providers.freeswitch.settings import FreeSwitchSettings
from beckon.telephony.switch import Cause, File, Prompt, Say, Silence, Tone

#: What we want to hear of.
EVENTS = (
    "CHANNEL_PARK CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_HOLD CHANNEL_UNHOLD"
    " CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE_COMPLETE DTMF BACKGROUND_JOB RECORD_START RECORD_STOP"
)

_CAUSES: dict[str, Cause] = {
    "NORMAL_CLEARING": "normal",
    "NONE": "normal",
    "USER_BUSY": "busy",
    "NORMAL_CIRCUIT_CONGESTION": "congestion",
    "SWITCH_CONGESTION": "congestion",
    "CALL_REJECTED": "declined",
    "NO_ANSWER": "no_answer",
    "NO_USER_RESPONSE": "no_answer",
    "ALLOTTED_TIMEOUT": "no_answer",
    "PROGRESS_TIMEOUT": "no_answer",
    "ORIGINATOR_CANCEL": "cancelled",
    "LOSE_RACE": "cancelled",
    "UNALLOCATED_NUMBER": "not_found",
    "INVALID_NUMBER_FORMAT": "not_found",
    "NO_ROUTE_DESTINATION": "unreachable",
    "DESTINATION_OUT_OF_ORDER": "unreachable",
    "NETWORK_OUT_OF_ORDER": "unreachable",
    "RECOVERY_ON_TIMER_EXPIRE": "unreachable",
    "SUBSCRIBER_ABSENT": "unreachable",
    "USER_NOT_REGISTERED": "unreachable",
    "GATEWAY_DOWN": "unreachable",
    "OUTGOING_CALL_BARRED": "not_allowed",
    "INCOMING_CALL_BARRED": "not_allowed",
    "INCOMPATIBLE_DESTINATION": "no_codec",
    "BEARERCAPABILITY_NOTIMPL": "no_codec",
    "MEDIA_TIMEOUT": "silence",
    "EXCHANGE_ROUTING_ERROR": "failed",
    "MANAGER_REQUEST": "normal",
    "SYSTEM_SHUTDOWN": "switch_down",
}
_KILLS: dict[Cause, str] = {
    "normal": "NORMAL_CLEARING",
    "busy": "USER_BUSY",
    "declined": "CALL_REJECTED",
    "no_answer": "NO_ANSWER",
    "cancelled": "ORIGINATOR_CANCEL",
    "too_long": "ALLOTTED_TIMEOUT",
    "not_found": "UNALLOCATED_NUMBER",
    "congestion": "SWITCH_CONGESTION",
}
_REJECTS = {486: "USER_BUSY", 404: "UNALLOCATED_NUMBER", 480: "NO_USER_RESPONSE", 503: "SWITCH_CONGESTION"}


def cause_of(word: str) -> Cause:
    """Their cause as ours."""
    return _CAUSES.get(word, "failed")


def kill(channel: str, cause: Cause) -> str:
    """End a channel."""
    return f"api uuid_kill {channel} {_KILLS.get(cause, 'NORMAL_CLEARING')}"


def reject(channel: str, status: int) -> str:
    """Refuse a call with the cause that becomes this SIP status."""
    return f"api uuid_kill {channel} {_REJECTS.get(status, 'CALL_REJECTED')}"


def channel_of(leg: str) -> str:
    """The channel's id for a leg of ours: theirs are UUIDs, and this one is always the same."""
    return str(uuid.UUID(bytes=blake2b(leg.encode(), digest_size=16).digest()))


def execute(channel: str, app: str, argument: str = "", mark: str = "") -> str:
    """Let a channel execute an application; ``mark`` comes back when it is done."""
    lines = [f"sendmsg {channel}", "call-command: execute", f"execute-app-name: {app}"]
    if argument:
        lines.append(f"execute-app-arg: {_line(argument)}")
    if mark:
        lines.append(f"Event-UUID: {mark}")
    return "\n".join(lines)


def originate(
    settings: FreeSwitchSettings, channel: str, to: str, caller_id: str, caller_name: str, ring_s: float, job: str
) -> str:
    """Dial."""
    number = to if settings.plus else to.removeprefix("+")
    variables = {
        "origination_uuid": channel,
        "origination_caller_id_number": caller_id or "anonymous",
        "origination_caller_id_name": caller_name or caller_id or "anonymous",
        "originate_timeout": str(max(1, round(ring_s))),
        "ignore_early_media": "true",
        "park_after_bridge": "true",
        "hangup_after_bridge": "false",
    }
    for value in (number, *variables.values()):
        if any(char in value for char in " ,{}[]'\"|&\n\r\\"):
            raise Refused("call.number", f"{value[:40]!r} can't be dialled")
    listed = ",".join(f"{name}={value}" for name, value in variables.items())
    target = settings.dial_string.replace("{number}", number)
    return f"bgapi originate {{{listed}}}{target} &park()\nJob-UUID: {job}"


def prompt_argument(prompt: Prompt, settings: FreeSwitchSettings) -> tuple[str, str]:
    """(application, argument) that lets a prompt be heard. Raises ``Unsupported``."""
    if isinstance(prompt, File):
        if "://" in prompt.path or prompt.path.startswith("/"):
            return "playback", prompt.path
        return "playback", f"{settings.prompts_folder}/{prompt.path}"
    if isinstance(prompt, Tone):
        return "playback", f"tone_stream://%({prompt.duration_ms},0,{','.join(f'{hertz:g}' for hertz in prompt.hertz)})"
    if isinstance(prompt, Silence):
        return "playback", f"silence_stream://{prompt.duration_ms}"
    if isinstance(prompt, Say):
        text = prompt.text.replace("|", " ")
        return "speak", f"{settings.tts_engine}|{prompt.voice or settings.tts_voice}|{text}"
    raise Unsupported("freeswitch.prompt", "this prompt can't be played")


def _line(text: str) -> str:
    return " ".join(text.split())
