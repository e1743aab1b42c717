"""The tables that are written in batches, as data: their columns, in order, and their keys.

The migrations hold the truth; ``tests/rooms/store`` compares the two.
"""

import msgspec


class Table(msgspec.Struct, frozen=True, eq=False):
    """A table's name, its columns in the order in which rows give them, and how many of the first are its key.

    There is one of each: it is found in a dict by what it is, which costs no call.
    """

    name: str
    columns: tuple[str, ...]
    key_columns: int = 1


MARKS = Table("marks", ("name", "value"))
WORKSPACES = Table("workspaces", ("id", "name", "folder", "created_ms"))
API_KEYS = Table("api_keys", ("digest", "workspace", "label", "scopes", "created_ms", "revoked_ms"))
PEOPLE = Table("people", ("id", "workspace", "email", "name", "role", "password", "created_ms"))
SESSIONS = Table("sessions", ("digest", "person", "expires_ms"))
DEFINITIONS = Table(
    "definitions",
    ("workspace", "kind", "name", "version", "body", "origin", "current", "created_ms"),
    key_columns=4,
)
JOURNAL = Table(
    "journal",
    ("position", "workspace", "source", "id", "type", "subject", "time_ms", "accepted_ms", "depth", "data"),
)
IDEMPOTENCY = Table(
    "idempotency", ("workspace", "idempotency_key", "fingerprint", "answer", "created_ms"), key_columns=2
)
CONTACTS = Table("contacts", ("id", "workspace", "name", "changed_ms", "body"))
ADDRESSES = Table("addresses", ("workspace", "channel", "external_id", "contact"), key_columns=3)
RUNS = Table(
    "runs",
    ("id", "workspace", "flow", "version", "key", "contact", "status", "created_ms", "changed_ms", "body"),
)
WAITS = Table("waits", ("match_key", "run"), key_columns=2)
EARLY = Table("early", ("match_key", "position"), key_columns=2)
TIMERS = Table("timers", ("due_ms", "kind", "subject"), key_columns=3)
BIG_TIMERS = Table("big_timers", ("due_ms", "kind", "subject"), key_columns=3)
OUTBOX = Table("outbox", ("number", "id", "workspace", "lane", "kind", "state", "due_ms", "attempt", "body", "big"))
DELIVERIES = Table(
    "deliveries",
    ("id", "workspace", "contact", "state", "channel", "provider", "created_ms", "changed_ms", "body"),
)
PROVIDER_IDS = Table("provider_ids", ("workspace", "provider", "provider_id", "delivery"), key_columns=3)
CONVERSATIONS = Table(
    "conversations",
    ("contact", "workspace", "state", "inbox", "agent", "unread", "preview", "changed_ms"),
)
ENTRIES = Table("entries", ("number", "workspace", "contact", "at_ms", "kind", "author", "delivery", "body"))
LINKS = Table("links", ("code", "workspace", "contact", "delivery", "url", "expires_ms"))
APPROVALS = Table(
    "approvals",
    ("workspace", "provider", "template", "language", "state", "changed_ms"),
    key_columns=4,
)
RECORDS = Table("records", ("workspace", "collection", "key", "changed_ms", "body"), key_columns=3)
CALLS = Table(
    "calls", ("id", "workspace", "contact", "script", "direction", "outcome", "started_ms", "ended_ms", "body")
)
RECORDINGS = Table("recordings", ("id", "workspace", "call", "contact", "keep_until_ms", "path"))

MENTIONS = Table("mentions", ("who", "position"), key_columns=2)
NOTED = Table("noted", ("position", "who"), key_columns=2)
FORGETTINGS = Table("forgettings", ("contact", "workspace", "asked_ms", "done_ms", "stage", "after", "who"))
TOMBSTONES = Table("tombstones", ("workspace", "digest", "subject", "at_ms", "refused"), key_columns=2)

ANSWERS = Table("answers", ("position", "answer", "created_ms"))

# The journey loyalty_offers: its part writes them within the turn.
MEMBERS = Table("members", ("id", "workspace", "state", "changed_ms", "body"))
MEMBER_KEYS = Table("member_keys", ("workspace", "kind", "word", "member"), key_columns=3)
POINTS = Table("points", ("number", "workspace", "member", "previous", "at_ms", "kind", "amount", "balance", "body"))
SALES = Table("sales", ("workspace", "sale", "member", "state", "modified_ms", "body"), key_columns=2)
OFFERS = Table(
    "offers",
    ("id", "workspace", "member", "definition", "campaign", "state", "issued_ms", "expires_ms", "body"),
)
LOYALTY_DUE = Table("loyalty_due", ("due_ms", "kind", "subject"), key_columns=3)
CAMPAIGN_DAYS = Table(
    "campaign_days",
    ("workspace", "day", "campaign", "reached", "issued", "redeemed", "points", "cost", "skipped"),
    key_columns=3,
)
OFFER_COUNTS = Table("offer_counts", ("workspace", "definition", "issued", "redeemed"), key_columns=2)
CAMPAIGN_ROUNDS = Table(
    "campaign_rounds",
    (
        *("id", "workspace", "campaign", "state", "after", "looked", "reached", "skipped"),
        *("started_ms", "changed_ms"),
    ),
)
PROMO_CODES = Table("promo_codes", ("workspace", "code", "list", "uses", "member", "used_ms"), key_columns=2)
_LOYALTY = (
    MEMBERS, MEMBER_KEYS, POINTS, SALES, OFFERS, LOYALTY_DUE, CAMPAIGN_DAYS, OFFER_COUNTS, CAMPAIGN_ROUNDS,
    PROMO_CODES,
)  # fmt: skip

ALL = (
    MARKS, WORKSPACES, API_KEYS, PEOPLE, SESSIONS, DEFINITIONS, JOURNAL, IDEMPOTENCY, CONTACTS, ADDRESSES, RUNS,
    WAITS, EARLY, TIMERS, BIG_TIMERS, OUTBOX, DELIVERIES, PROVIDER_IDS, CONVERSATIONS, ENTRIES, LINKS, APPROVALS,
    ANSWERS, RECORDS, CALLS, RECORDINGS, MENTIONS, NOTED, FORGETTINGS, TOMBSTONES,
    *_LOYALTY,
)  # fmt: skip
