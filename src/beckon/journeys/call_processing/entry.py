"""A call's entry in the contact's thread. Pure."""

import msgspec

from beckon.inbox.entries import Call, CallDecision, CallRecording, Entry, cut, one_line
from beckon.telephony.call import CallRecord

#: Decisions that an entry shows; the call's page has all.
DECISIONS_MAX = 30

OUTCOMES = {
    "": "under way",
    "connected": "connected",
    "voicemail": "left a message",
    "finished": "finished",
    "abandoned": "hung up",
    "unreached": "not reached",
    "failed": "failed",
}


def call_entry(workspace: str, contact: str, record: CallRecord) -> Entry:
    """The entry of a call that is over. It has no numbers: whoever may see those finds them at the call."""
    body = Call(
        call=record.id,
        direction=record.direction,
        outcome=record.outcome,
        why=cut(record.why, 300),
        seconds=seconds_of(record),
        talked_s=record.talked_ms // 1_000,
        digits=", ".join(f"{name} {keys}" for name, keys in list(record.digits.items())[:10]),
        decisions=tuple(CallDecision(one.at_ms, one.what, one.why) for one in record.decisions[:DECISIONS_MAX]),
        recordings=tuple(CallRecording(one.id, one.what, round(one.seconds)) for one in record.recordings if one.path),
    )
    word = OUTCOMES.get(record.outcome, record.outcome)
    return Entry(
        workspace=workspace,
        contact=contact,
        at_ms=record.started_ms,
        kind="call",
        author="contact" if record.direction == "in" else "system",
        body=msgspec.json.encode(body).decode(),
        preview=one_line(f"Call: {word}" + (f", {length(body.seconds)}" if body.seconds else "")),
    )


def seconds_of(record: CallRecord) -> int:
    """How long the phone was off the hook."""
    return max(0, record.ended_ms - record.answered_ms) // 1_000 if record.answered_ms else 0


def length(seconds: int) -> str:
    """``2:05``."""
    return f"{seconds // 60}:{seconds % 60:02d}"
