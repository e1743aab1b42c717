"""The step table: every step, every field, what each may hold. The parser, the JSON Schema and the docs follow it."""

import re

import msgspec

#: Lower-case words with dots: event types, acts (``checkin.start``, ``cases.file``).
TYPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}(?:\.[a-z0-9_-]{1,60}){0,6}", re.ASCII)
#: Names of saved results and set values: also words of CEL and Liquid.
WORD = re.compile(r"[a-z_][a-z0-9_]{0,59}", re.ASCII)
#: Names of flows, templates, inboxes, secrets.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)

_OF_RUNS = frozenset({"event", "contact", "run", "now", "today", "it"})
_OF_LIQUID = frozenset({"true", "false", "nil", "empty", "blank", "forloop", "size", "first", "last"})
_OF_CEL = frozenset({"in", "null", "as", "break", "const", "continue", "else", "for", "function", "if", "import"})
_OF_CEL_TOO = frozenset({"let", "loop", "package", "namespace", "return", "var", "void", "while"})

#: Words that can't be the name of a saved result or a value.
RESERVED = _OF_RUNS | _OF_LIQUID | _OF_CEL | _OF_CEL_TOO

PURPOSES = ("transactional", "marketing")
CHANNELS = ("best", "oem_app", "whatsapp", "sms", "email", "web_push", "fcm")
ENTRIES = ("note", "results", "status", "error")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Field(msgspec.Struct, frozen=True):
    """What a field may hold.

    ``kind``: text (Liquid), value (anything, Liquid in its texts), object (names to values), condition (CEL), duration,
    steps, channels, word, type, types, name, label, flag, count, one_of, hours, wait, cases, entry, match.
    """

    kind: str
    doc: str
    required: bool = False
    words: tuple[str, ...] = ()
    most: int = 0
    #: the value may be left empty (``send:`` with ``text:`` beside it, ``stop:``).
    empty: bool = False


class Form(msgspec.Struct, frozen=True):
    """One step: its own field, and those beside it.

    ``main`` names the field that stands under the step's own key. Where ``open`` is true that value may also be an
    object with all the fields in it: ``notify: {inbox: advisors, text: …}`` is ``notify: advisors`` with ``text: …``.
    """

    doc: str
    main: str
    fields: dict[str, Field]
    open: bool = False


_SAVE = Field("word", "Keep what comes back under this name.")
_WITH = Field("object", "Names and values; values may be native expressions.")
_TIMEOUT = Field("duration", "How long to wait: 10m, 24h, 2d, 1h30m.")
_ON_ERROR = Field("steps", "What to do when it fails; without this the run fails.")
_AWAIT = Field("flag", "false: go on at once, whatever comes of it.")

STEPS: dict[str, Form] = {
    "send": Form(
        "Reach the contact with a template, or with a text.",
        "template",
        {
            "template": Field("text", "The template's name.", empty=True),
            "text": Field("text", "Free text instead of a template."),
            "to": Field(
                "value", "Whom: a contact's id or an object with phone, email …; without it the run's contact."
            ),
            "via": Field("channels", "best (the workspace's order), one channel, or several in order."),
            "with": _WITH,
            "purpose": Field("one_of", "What the contact must have consented to.", words=PURPOSES),
            "locale": Field("text", "Language of the message, such as nl-BE; without it the contact's."),
            "fallback_after": Field("duration", "Not delivered or read by then: the next channel."),
            "at": Field("hours", "When it may go: {between: 09:00-20:00}, {not_between: 21:00-08:00}, or an instant."),
            "on_undeliverable": Field(
                "steps", "What to do when no channel is left; the run then waits for the outcome."
            ),
            "timeout": Field("duration", "How long to wait for that outcome (24h)."),
        },
        open=True,
    ),
    "wait_for": Form(
        "Wait for an event.",
        "types",
        {
            "types": Field("types", "The event's type, or several.", required=True),
            "match": Field(
                "match", "Names in the event's data and the values they must have; without it: same contact."
            ),
            "where": Field("condition", "A condition in CEL on the event that arrives, called `it`."),
            "timeout": _TIMEOUT,
            "until_open": Field(
                "label", "Instead of timeout: at most until these hours are open where the contact lives: 08:00-21:00."
            ),
            "save": _SAVE,
            "on_timeout": Field("steps", "What to do when it has not come by then; the flow goes on afterwards."),
        },
    ),
    "wait": Form(
        "Wait for a while, or until an instant.",
        "wait",
        {"wait": Field("wait", "A duration, or {for, until, before, after, hours, zone}.", required=True)},
    ),
    "if": Form(
        "Go one way or the other.",
        "condition",
        {
            "condition": Field("condition", "A condition in CEL.", required=True),
            "then": Field("steps", "Where it holds.", required=True),
            "else": Field("steps", "Where it doesn't."),
        },
    ),
    "choose": Form(
        "Go the first way whose condition holds.",
        "cases",
        {
            "cases": Field("cases", "A list of {when: condition, then: steps}.", required=True),
            "else": Field("steps", "Where none holds."),
        },
    ),
    "for_each": Form(
        "Do the same for each item of a list.",
        "items",
        {
            "items": Field("value", "The list: {{ event.data.videos }}.", required=True),
            "as": Field("word", "What the item in hand is called (item)."),
            "max": Field("count", "More items than this fail the run.", most=1_000),
            "do": Field("steps", "What to do for each.", required=True),
        },
    ),
    "note": Form(
        "Leave an internal note in the conversation.",
        "text",
        {"text": Field("text", "The note.", required=True)},
    ),
    "post": Form(
        "Put an entry into the conversation.",
        "entry",
        {"entry": Field("entry", "One of results, status, note, error, and its content.", required=True)},
    ),
    "notify": Form(
        "Tell a team: the conversation stands in its inbox as new.",
        "inbox",
        {
            "inbox": Field("text", "The inbox's name.", required=True),
            "text": Field("text", "What to say."),
        },
        open=True,
    ),
    "assign": Form(
        "Give the conversation to a team's inbox, or to an agent.",
        "inbox",
        {
            "inbox": Field("text", "The inbox's name.", empty=True),
            "agent": Field("text", "The agent's id or email."),
        },
        open=True,
    ),
    "call": Form(
        "Do a named act: a Python step of the workspace, or an act of a journey.",
        "act",
        {
            "act": Field("type", "The act's name, such as cases.file.", required=True),
            "with": _WITH,
            "save": _SAVE,
            "timeout": _TIMEOUT,
            "await": _AWAIT,
            "on_error": _ON_ERROR,
        },
    ),
    "http": Form(
        "Call a URL, with retries.",
        "url",
        {
            "url": Field("text", "The URL.", required=True),
            "method": Field("one_of", "GET without a body, else POST.", words=METHODS),
            "headers": Field("object", "Header names and texts."),
            "body": Field("value", "Sent as JSON; a text is sent as it is."),
            "secret": Field("name", "A secret of the workspace, by name, for the Authorization header."),
            "timeout": Field("duration", "How long one try may take (10s)."),
            "attempts": Field("count", "How many tries (5).", most=20),
            "save": _SAVE,
            "await": _AWAIT,
            "on_error": _ON_ERROR,
        },
        open=True,
    ),
    "emit": Form(
        "Say an event of your own.",
        "type",
        {
            "type": Field("type", "The event's type.", required=True),
            "data": Field("value", "The event's data."),
        },
        open=True,
    ),
    "answer": Form(
        "Answer whoever asked with the event that the run is at, and waits for it.",
        "body",
        {"body": Field("value", 'The answer: an object, such as {phones: ["{{ order.phone }}"]}.', required=True)},
    ),
    "find": Form(
        "Look a record up in one of the workspace's collections.",
        "collection",
        {
            "collection": Field("name", "The collection's name, such as couriers.", required=True),
            "key": Field("text", "The record's key.", required=True),
            "save": Field("word", "Keep the record under this name; null where there is none.", required=True),
            "on_missing": Field("steps", "What to do where there is none; the flow goes on afterwards."),
        },
    ),
    "set": Form(
        "Keep values under names.",
        "values",
        {"values": Field("object", "Names and values.", required=True)},
    ),
    "stop": Form(
        "End the run.",
        "reason",
        {"reason": Field("text", "Why, in a word or two.", empty=True)},
    ),
}

#: Fields that every step may have.
ANYWHERE: dict[str, Field] = {"name": Field("label", "A label for the drawing.")}

#: The flow itself.
FLOW: dict[str, Field] = {
    "flow": Field("name", "The flow's name.", required=True),
    "on": Field("types", "The event type that begins it, or several.", required=True),
    "description": Field("label", "What it is for."),
    "if": Field("condition", "Begin only where this condition in CEL holds."),
    "key": Field("text", "One run for each key; a replayed event changes nothing. Without it: one run for each event."),
    "contact": Field("value", "Whom it is about; without it event.data.contact, or the event's subject.", empty=True),
    "purpose": Field("one_of", "The purpose of its messages.", words=PURPOSES),
    "time_zone": Field("label", "For contacts without a time zone, such as Europe/Brussels."),
    "limits": Field("limits", "Lower or higher limits: {steps: 200, items: 100}."),
    "steps": Field("steps", "What to do, in order.", required=True),
}

#: ``wait:`` as an object.
WAIT: dict[str, Field] = {
    "for": Field("duration", "How long; with hours, counted in open hours only."),
    "until": Field("value", "An instant, a date, or a time of day such as 09:00."),
    "before": Field("duration", "That long before until."),
    "after": Field("duration", "That long after until."),
    "hours": Field("label", "Open hours: Mon-Fri 09:00-18:00."),
    "zone": Field("label", "A time zone; without it the contact's."),
}

#: ``at:`` as an object.
HOURS: dict[str, Field] = {
    "between": Field("label", "Open hours: 09:00-20:00, or Mon-Fri 09:00-18:00."),
    "not_between": Field("label", "Quiet hours: 21:00-08:00."),
    "instant": Field("value", "Not before this instant."),
}

#: (default, most) for each of ``limits:``.
LIMITS: dict[str, tuple[int, int]] = {"steps": (500, 5_000), "items": (100, 1_000)}
