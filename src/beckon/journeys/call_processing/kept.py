"""Kept: what stays of a call: its record, what people said of it, who listened."""

import msgspec

from beckon.telephony.call import CallRecord

#: Comments of one call, and those who listened: the latest.
COMMENTS_MAX = 200
LISTENED_MAX = 200
COMMENT_CHARS_MAX = 1_000
WORD_CHARS_MAX = 200
#: How good a conversation was.
MARKS = ("good", "middling", "bad")


class Comment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words about a moment of a recording. ``id``: what its form was sent with, so that it stands there once."""

    id: str
    recording: str
    #: from the recording's beginning.
    moment_ms: int
    text: str
    by: str
    at_ms: int


class Listened(msgspec.Struct, frozen=True):
    """Somebody listened."""

    recording: str
    by: str
    at_ms: int


class Mark(msgspec.Struct, frozen=True):
    """How good it was, and a word on it."""

    mark: str
    word: str
    by: str
    at_ms: int


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a call's row."""

    record: CallRecord
    #: the message that it carried; empty: none.
    delivery: str = ""
    comments: tuple[Comment, ...] = ()
    listened: tuple[Listened, ...] = ()
    mark: Mark | None = None


#: What the pages that list calls listen to.
TOPIC = "journey:calls"


def topic_of(call: str) -> str:
    """What the page of one call listens to."""
    return f"journey:call:{call}"


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Kept).decode
