"""Lists: members page by page by their key, and found by what one knows of them. Every question looks at a bounded
number of rows, however many members there are."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from beckon.core.errors import Refused
from beckon.journeys.loyalty_offers.member import Member
from beckon.journeys.loyalty_offers.reading import key_kinds
from beckon.journeys.loyalty_offers.sale import Sale
from beckon.messaging.contacts import normalise_phone
from beckon.store.database import Database, joined

PAGE = 50
#: Rows that one page looks through where another workspace's lie between.
LOOK_MAX = 10_000
FOUND_MAX = 50
#: Behind every id, in any alphabet.
_LAST = "mem_" + "z" * 24
_member = msgspec.json.Decoder(Member).decode
_sale = msgspec.json.Decoder(Sale).decode


async def members(reader: Database, workspace: str, after: str = "") -> tuple[list[Member], str]:
    """One page, who joined last first; and the key of the next page, empty where there is none."""
    before = after or _LAST
    beyond = await reader.fetch(
        "SELECT id FROM members WHERE id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", (before, LOOK_MAX - 1)
    )
    down_to = str(beyond[0][0]) if beyond else ""
    rows = await reader.fetch(
        "SELECT body FROM members WHERE id < ? AND id >= ? AND workspace = ? ORDER BY id DESC LIMIT ?",
        (before, down_to, workspace, PAGE + 1),
    )
    found = [_member(str(row[0])) for row in rows]
    return (found[:PAGE], found[PAGE - 1].id) if len(found) > PAGE else (found, down_to)


async def search(reader: Database, workspace: str, word: str, region: str) -> list[Member]:
    """Whom these words mean: an id of ours or another system's, a phone number, a mailbox or how it begins."""
    word = word.strip()[:200]
    if not word:
        return []
    keys = [
        (kind, word) for kind in await key_kinds(reader, workspace) if kind.startswith("external:") or kind == "contact"
    ]
    folded = word.casefold()
    with suppress(Refused):
        keys.append(("phone", normalise_phone(word, region)))
    ids: dict[str, None] = {word: None} if word.startswith("mem_") else {}
    if keys:
        asked = joined("member_keys", "member", ("workspace", "kind", "word"), [(workspace, *key) for key in keys])
        for rows in await reader.fetch_all(asked):
            ids |= dict.fromkeys(str(row[0]) for row in rows)
    # In the order of the key, whatever the database's alphabet is: those that begin so stand together.
    rows = await reader.fetch(
        "SELECT word, member FROM member_keys WHERE workspace = ? AND kind = 'email' AND word >= ?"
        " ORDER BY word LIMIT ?",
        (workspace, folded, 2 * FOUND_MAX),
    )
    ids |= dict.fromkeys(str(member) for mailbox, member in rows if str(mailbox).startswith(folded))
    return await by_ids(reader, workspace, list(ids)[:FOUND_MAX])


async def by_ids(reader: Database, workspace: str, ids: Sequence[str]) -> list[Member]:
    """Members by their ids, in that order."""
    if not ids:
        return []
    marks = ", ".join("?" * len(ids))
    rows = await reader.fetch(f"SELECT body FROM members WHERE workspace = ? AND id IN ({marks})", (workspace, *ids))
    found = {member.id: member for member in (_member(str(row[0])) for row in rows)}
    return [found[id] for id in ids if id in found]


async def sales(reader: Database, workspace: str, ids: Sequence[str]) -> list[Sale]:
    """Sales by the tills' ids, in that order."""
    if not ids:
        return []
    marks = ", ".join("?" * len(ids))
    rows = await reader.fetch(f"SELECT body FROM sales WHERE workspace = ? AND sale IN ({marks})", (workspace, *ids))
    found = {sale.sale: sale for sale in (_sale(str(row[0])) for row in rows)}
    return [found[id] for id in ids if id in found]
