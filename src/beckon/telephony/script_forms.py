"""The step table of call scripts: every step and field, what each may hold. Parser, schema and docs follow it."""

import re

import msgspec

from beckon.telephony import script
from beckon.telephony.script import LIMITS, TICKS

#: Names of kept keys: also words of Liquid.
WORD = re.compile(r"[a-z_][a-z0-9_]{0,59}", re.ASCII)
#: Names of scripts, steps, secrets, boxes, files.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}", re.ASCII)


class Field(msgspec.Struct, frozen=True):
    """What a field may hold.

    ``kind``: prompt, text (Liquid), texts (one or several), word, name, names, label, flag, count, duration, key,
    one_of, ticks, steps, ways, week, connecting, limits, file.
    """

    kind: str
    doc: str
    required: bool = False
    words: tuple[str, ...] = ()
    least: int = 1
    most: int = 0
    #: the attribute of the step that takes it; empty: of the same name.
    goes_to: str = ""
    #: may be left empty.
    empty: bool = False


class Form(msgspec.Struct, frozen=True):
    """One step: the field that stands under its own key, and those beside it."""

    doc: str
    main: Field
    made: type[script.Step]
    fields: dict[str, Field] = {}


_SECOND_MS = 1_000
_HOUR_MS = 3_600_000


def _prompt(doc: str, *, required: bool = False, goes_to: str = "") -> Field:
    return Field("prompt", doc, required=required, goes_to=goes_to)


_TYPED: dict[str, Field] = {
    "say": _prompt("What is said first: a text, {en: …, nl: …}, {file: name.wav}, or a list of these."),
    "again": _prompt("Said from the second try on; without it what is said first."),
    "until": Field("key", "The key that ends it (#); empty: none does.", empty=True),
    "between": Field(
        "duration", "How long it waits for the next key (5s).", most=60 * _SECOND_MS, goes_to="between_ms"
    ),
    "within": Field(
        "duration", "How long it waits in all, after the prompt (20s).", most=300 * _SECOND_MS, goes_to="within_ms"
    ),
    "tries": Field("count", "How often it asks (3).", most=10),
    "barge_in": Field("flag", "A key interrupts what is said (true)."),
}

#: How somebody is connected: fields of ``dial`` and ``transfer``, and of ``connect:`` of an ask.
CONNECTING: dict[str, Field] = {
    "how": Field("one_of", "Several numbers: in_turn or at_once.", words=("in_turn", "at_once")),
    "caller_id": Field(
        "text", "What the phone shows: called (so that nobody learns the caller's number), caller, or a number."
    ),
    "ring": Field("duration", "How long each rings (25s).", most=180 * _SECOND_MS, goes_to="ring_ms"),
    "hint": _prompt("Said to the callee alone, before the two hear each other."),
    "accept": Field("key", "The key with which the callee takes the call after the hint."),
    "record": Field("flag", "Record the conversation."),
    "talk": Field("duration", "How long the two may talk (1h).", most=6 * _HOUR_MS, goes_to="talk_ms"),
}

STEPS: dict[str, Form] = {
    "say": Form(
        "Say something.",
        _prompt("A text, {en: …, nl: …}, {file: name.wav}, or a list of these.", required=True, goes_to="prompt"),
        script.Speak,
        {"times": Field("count", "How often (1).", most=20), "barge_in": Field("flag", "A key interrupts it.")},
    ),
    "play": Form(
        "Play a recorded prompt.",
        Field("file", "The file's name, or several.", required=True, goes_to="prompt"),
        script.Speak,
        {"times": Field("count", "How often (1).", most=20), "barge_in": Field("flag", "A key interrupts it.")},
    ),
    "gather": Form(
        "Take keys, and keep them.",
        Field("word", "The name under which they are kept: {{ order }}.", required=True, goes_to="keep"),
        script.Gather,
        {
            **_TYPED,
            "max": Field("count", "The most keys; that many end it.", most=32, goes_to="keys_max"),
            "min": Field("count", "The fewest keys; fewer are a failed try (1).", most=32, goes_to="keys_min"),
            "on_nothing": Field("steps", "What to do when no try succeeds; without it the call goes on."),
        },
    ),
    "menu": Form(
        "Go the way of the key that is pressed.",
        Field("ways", "Keys, each with what to do.", required=True, goes_to="ways"),
        script.Menu,
        {**_TYPED, "on_nothing": Field("steps", "What to do when no try succeeds.")},
    ),
    "authorise": Form(
        "Go on only with an access code.",
        Field("names", "The secret that is the code, by name, or several.", required=True, goes_to="secrets"),
        script.Authorise,
        {
            **_TYPED,
            "max": Field("count", "The most keys of a code (12).", most=32, goes_to="keys_max"),
            "on_refused": Field("steps", "What to do when no try succeeds; without it the call ends."),
        },
    ),
    "ask": Form(
        "Ask a URL what to do.",
        Field("text", "The URL; flow: our own flows on call.asked.", required=True, goes_to="url"),
        script.Ask,
        {
            "dialect": Field("word", "How it is asked and answers (uis)."),
            "method": Field("one_of", "GET or POST.", words=("GET", "POST")),
            "form": Field(
                "one_of", "How it is told: in the query, as a form, as JSON.", words=("query", "form", "json")
            ),
            "send": Field("ticks", "What is told.", words=TICKS, goes_to="ticks"),
            "digits": Field("word", "Which kept keys are told; without it those typed last."),
            "secret": Field("name", "The secret that signs the request, by name."),
            "timeout": Field(
                "duration", "How long the answer may take (5s).", most=15 * _SECOND_MS, goes_to="timeout_ms"
            ),
            "connect_timeout": Field(
                "duration", "How long connecting may take (1s).", most=10 * _SECOND_MS, goes_to="connect_ms"
            ),
            "tries": Field("count", "How often it is asked (1).", most=5),
            "filler": _prompt("Said when the answer takes its time."),
            "filler_after": Field(
                "duration", "After how long (700ms).", most=10 * _SECOND_MS, goes_to="filler_after_ms"
            ),
            "codes": Field("ways", "Return codes, each with what to do."),
            "connect": Field(
                "connecting", "How the answer's numbers are connected; the answer wins.", goes_to="connecting"
            ),
            "otherwise": Field("steps", "What to do when nobody takes the call that the answer asked for."),
            "backup": Field("steps", "What to do when there is no usable answer."),
        },
    ),
    "dial": Form(
        "Connect with a number, or the first of several that answers.",
        Field(
            "texts",
            "The number, or several; or a phone that registers at the switch, by name.",
            required=True,
            goes_to="numbers",
        ),
        script.Dial,
        {
            **CONNECTING,
            "on_busy": Field("steps", "What to do when the last that was tried is busy."),
            "on_no_answer": Field("steps", "What to do when the last that was tried does not answer."),
            "otherwise": Field("steps", "What to do when nobody takes the call."),
        },
    ),
    "transfer": Form(
        "Connect with the caller's manager.",
        Field("one_of", "last or personal.", required=True, words=("last", "personal"), goes_to="whom"),
        script.Transfer,
        {**CONNECTING, "otherwise": Field("steps", "What to do where there is none, or nobody takes the call.")},
    ),
    "record": Form(
        "Record the call from here on.",
        Field("one_of", "call or stop.", required=True, words=("call", "stop"), goes_to="what"),
        script.Record,
        {
            "say": _prompt("What people are told first: that it is recorded, and why."),
            "refuse": Field("key", "The key with which the caller says no."),
        },
    ),
    "voicemail": Form(
        "Let the caller leave a message.",
        Field("name", "The box that it is for.", required=True, goes_to="box"),
        script.Voicemail,
        {
            "say": _prompt("What is said first."),
            "beep": Field("flag", "A tone says when to speak (true)."),
            "until": Field("key", "The key that ends it (#).", empty=True),
            "longest": Field("duration", "How long it may be (2m).", most=600 * _SECOND_MS, goes_to="longest_ms"),
        },
    ),
    "hours": Form(
        "Go one way in open hours, the other outside.",
        Field("week", "Open hours: Mon-Fri 09:00-18:00.", required=True),
        script.Hours,
        {
            "zone": Field("label", "The time zone; without it the workspace's."),
            "open": Field("steps", "In open hours."),
            "closed": Field("steps", "Outside."),
        },
    ),
    "branch": Form(
        "Go the way of a value.",
        Field(
            "text",
            "The value: {{ contact.segments }}, {{ reply.code }}, {{ result.vip }}.",
            required=True,
            goes_to="value",
        ),
        script.Branch,
        {
            "ways": Field("ways", "Values, each with what to do.", required=True),
            "else": Field("steps", "For any other value.", goes_to="otherwise"),
        },
    ),
    "jump": Form(
        "Go on with a named step.",
        Field("label", "The step's name.", required=True, goes_to="to"),
        script.Jump,
    ),
    "hang_up": Form(
        "End the call.",
        Field("label", "Why, in a word or two.", goes_to="reason", empty=True),
        script.HangUp,
        {
            "say": _prompt("What is said first."),
            "how": Field("one_of", "What an unanswered phone is told.", words=("normal", "busy", "declined")),
        },
    ),
}

#: Fields that every step may have.
ANYWHERE: dict[str, Field] = {"name": Field("label", "A label for the drawing, and where jump leads.")}

#: The script itself.
SCRIPT: dict[str, Field] = {
    "call": Field("name", "The script's name.", required=True),
    "description": Field("label", "What it is for."),
    "locale": Field("label", "The language of its texts (en)."),
    "time_zone": Field("label", "For hours, such as Europe/Brussels."),
    "limits": Field("limits", f"Lower or higher limits: {{transitions: {LIMITS['transitions'][0]}, duration: 2h}}."),
    "backup": Field("steps", "What to do when a step can't be done, and where an ask has no backup of its own."),
    "steps": Field("steps", "What to do, in order.", required=True),
}
