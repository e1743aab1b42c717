"""Forgetting: what is personal of a member goes for good; the ledger's numbers stay, nobody's.

The profile, the ids, the wallet and the keys go within one turn. The words in the ledger, and what the journal says of
the member, follow in pieces: with their contact's, where they have one, else by a timer of our own. A digest of what
the member was found by stays, so that an old file does not bring them back; they may sign up anew themselves.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.event import Event
from beckon.journeys.loyalty_offers import asked, wallet
from beckon.journeys.loyalty_offers.desk import Desk
from beckon.journeys.loyalty_offers.ledger import Entry
from beckon.journeys.loyalty_offers.member import Member, Profile
from beckon.journeys.loyalty_offers.offer import OPEN
from beckon.journeys.loyalty_offers.room import Key, Room
from beckon.journeys.loyalty_offers.told import told
from beckon.journeys.part import Turn
from beckon.store.tables import MENTIONS
from beckon.workspaces import Library

#: Fires for a member who has no contact: the next piece of what is left of them.
TIMER = "loyalty.forgetting"
#: Rows of one piece.
ROWS_MAX = 200
BREATH_MS = 1

_encode = msgspec.json.Encoder().encode
_entry = msgspec.json.Decoder(Entry).decode

#: The ledger's entries of a member, from one on, the newest first.
_CHAIN = (
    "WITH RECURSIVE chain (number, previous, body, far) AS ("
    " SELECT number, previous, body, 1 FROM points WHERE number = ?"
    " UNION ALL SELECT p.number, p.previous, p.body, c.far + 1 FROM points p JOIN chain c ON p.number = c.previous"
    " WHERE c.far < ?) SELECT number, previous, body FROM chain ORDER BY far"
)


def keys_of(member: Member) -> list[Key]:
    """By what a member is found."""
    keys: list[Key] = [(member.workspace, f"external:{type_}", id_) for type_, id_ in member.external.items()]
    if member.profile.email:
        keys.append((member.workspace, "email", member.profile.email.casefold()))
    if member.profile.phones:
        keys.append((member.workspace, "phone", member.profile.phones[0].number))
    return keys


def forget_asked(desk: Desk, given: asked.Forget) -> dict[str, Any]:
    """``loyalty.forget_asked``: the member, and the contact who is this member and nobody else."""
    member = desk.room.member(desk.workspace, given)
    contact = member.contact
    theirs = bool(contact) and desk.room.keys.get((desk.workspace, "contact", contact)) == member.id
    forget(desk, member)
    turn = desk.room.turn
    if theirs:
        fields = {"contact": contact, "by": "loyalty"}
        turn.emitted.append(told(desk.workspace, "contact.forget_asked", member.id, desk.now_ms, fields))
    else:
        turn.set_timer(desk.now_ms + BREATH_MS, TIMER, member.id)
    return {"member": member.id}


def forget(desk: Desk, member: Member) -> None:
    """The member as such; what was written down of them goes by ``piece``."""
    room, turn = desk.room, desk.room.turn
    for key in keys_of(member):
        turn.bury(desk.library, member.id, ("member", key[1], key[2]))
        if room.keys.get(key, member.id) in ("", member.id):
            room.put_key(key, "")
    # What becomes of the wallet is counted, and told to nobody: it would say whose it was.
    told_before = len(turn.emitted)
    for offer in [one for one in room.offers.values() if one.member == member.id]:
        if offer.state in OPEN:
            wallet.revoke(desk, offer, member, why="the member was forgotten")
    del turn.emitted[told_before:]
    room.due_at(member.due_ms, 0, "member", member.id)
    for position in member.said:
        turn.changes.insert_new(MENTIONS, (member.id, position))
    account = member.account
    left = Member(id=member.id, workspace=member.workspace, state="forgotten", joined_ms=member.joined_ms)
    left.account.balance, left.account.last = account.balance, account.last
    left.unsaid = account.last
    room.put_member(left)
    room.tell(desk.library, "member.forgotten", member.id, {"member": member.id})


async def piece(room: Room, member: Member, most: int) -> int:
    """The next words of a forgotten member: reasons in the ledger, then what the journal says; how many it was."""
    turn, done = room.turn, 0
    if member.unsaid:
        for rows in await turn.database.fetch_all(((_CHAIN, (member.unsaid, most)),)):
            for number, previous, body in rows:
                entry = _entry(str(body))
                if entry.why:
                    entry.why = ""
                    turn.changes.execute(
                        "UPDATE points SET body = ? WHERE number = ?", (_encode(entry).decode(), number)
                    )
                member.unsaid = int(previous or 0)
                done += 1
            if not rows:
                member.unsaid = 0
        room.put_member(member)
    if done < most and not member.unsaid:
        done += await turn.erase_mentions(member.id, member.id, most - done)
    return done


async def strangers(room: Room, library: Library, contact: str, most: int) -> int:
    """Other members whom the forgotten contact's number led to: the line finds or makes a contact of theirs anew."""
    kind = beside(contact)
    rows = await room.turn.database.fetch(
        "SELECT word FROM member_keys WHERE workspace = ? AND kind = ? LIMIT ?", (library.workspace, kind, most)
    )
    await room.load(members=[str(word) for (word,) in rows])
    for (word,) in rows:
        member = room.members.get(str(word))
        if member is not None and member.contact == contact:
            member.contact = ""
            room.put_member(member)
        room.put_key((library.workspace, kind, str(word)), "")
    return len(rows)


def beside(contact: str) -> str:
    """The kind of key under which members stand who share a contact with the one whom it is."""
    return f"contact:{contact}"


# An old file ----------------------------------------------------------------------------------------------------------


def digests_of(library: Library, given: asked.SignUp) -> list[tuple[str, str]]:
    """Under what somebody would be found who was forgotten: (workspace, digest). A family's number is nobody's."""
    words = [("member", f"external:{type_}", id_) for type_, id_ in given.external.items()]
    if given.profile.email:
        words.append(("member", "email", given.profile.email.casefold()))
        words.append(("address", "email", given.profile.email))
    elif given.profile.phones:
        words.append(("member", "phone", given.profile.phones[0].number))
        words.append(("address", "sms", given.profile.phones[0].number))
    return [(library.workspace, library.digest(*one)) for one in words]


def why_not(desk: Desk, given: asked.SignUp) -> str:
    """Why an import must not bring somebody back; empty: it may."""
    if not desk.library.tombs:
        return ""
    found = [desk.room.buried[one] for one in digests_of(desk.library, given) if one in desk.room.buried]
    if not found:
        return ""
    day = iso(max(one.at_ms for one in found))[:10]
    return f"this person was forgotten on {day}: no file brings them back, they may sign up anew themselves"


def trim(turn: Turn, position: int, given: asked.ManySignUps, without: Iterable[int]) -> None:
    """What an old file says of somebody who was forgotten does not stay in the journal either."""
    gone = set(without)
    kept = [asked.SignUp(profile=Profile()) if at in gone else one for at, one in enumerate(given.members)]
    turn.scrub_later()
    said = msgspec.structs.replace(given, members=tuple(kept))
    turn.changes.execute("UPDATE journal SET data = ? WHERE position = ?", (_encode(said).decode(), position))


# Where the journal speaks of members ----------------------------------------------------------------------------------


def mention(room: Room, event: Event, given: Any, answer: dict[str, Any]) -> None:
    """Note whom what was asked is about."""
    members = {str(answer.get("member") or "")}
    if isinstance(given, asked.SignUp | asked.ManySignUps):
        several = given.members if isinstance(given, asked.ManySignUps) else (given,)
        members.update([str(one.get("member") or "") for one in answer.get("members", ())])
        for one in several:
            members.update([room.keys.get(key, "") for key in sign_up_keys(event.workspace, one)])
    else:
        members.add(str(getattr(given, "member", "")))
        external = getattr(given, "external", None)
        if external:
            members.add(room.keys.get((event.workspace, f"external:{external[0]}", external[1]), ""))
    for id_ in members:
        if id_ and id_ in room.members and room.members[id_].state != "forgotten":
            room.turn.mention(id_, event)


def sign_up_keys(workspace: str, given: asked.SignUp) -> list[Key]:
    """By what a new member would be found."""
    keys: list[Key] = [(workspace, f"external:{type_}", id_) for type_, id_ in given.external.items()]
    if given.profile.email:
        keys.append((workspace, "email", given.profile.email.casefold()))
    if given.profile.phones:
        keys.append((workspace, "phone", given.profile.phones[0].number))
    return keys
