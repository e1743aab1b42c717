"""Rounds: a campaign that goes through all members, a piece in each turn, and events that wait go first.

How large a piece is, and when the next one goes, is the line's to say: ``beckon.pacing``.
"""

from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.core.ids import fresh
from beckon.journeys.loyalty_offers import asked, earning
from beckon.journeys.loyalty_offers.desk import Desk
from beckon.journeys.loyalty_offers.joining import give_campaign
from beckon.journeys.loyalty_offers.room import Room
from beckon.store.changes import Changes, Row
from beckon.store.database import Database
from beckon.store.tables import CAMPAIGN_ROUNDS
from beckon.workspaces import Library

TIMER = "loyalty.round"
COLUMNS = "id, workspace, campaign, state, after, looked, reached, skipped, started_ms, changed_ms"


class Round(msgspec.Struct):
    """A campaign's way through all members."""

    id: str
    workspace: str
    campaign: str
    #: running, done, stopped
    state: str = "running"
    after: str = ""
    looked: int = 0
    reached: int = 0
    skipped: dict[str, int] = {}
    started_ms: int = 0
    changed_ms: int = 0


def round_from(row: Row) -> Round:
    """A round from its row."""
    id_, workspace, campaign, state, after = [str(one) for one in row[:5]]
    looked, reached, started_ms, changed_ms = [int(one or 0) for one in (row[5], row[6], row[8], row[9])]
    skipped: dict[str, int] = msgspec.json.decode(str(row[7]))
    return Round(id_, workspace, campaign, state, after, looked, reached, skipped, started_ms, changed_ms)


async def running(database: Database, workspaces: set[str]) -> list[Round]:
    """The rounds that are under way: there are few."""
    found = []
    for workspace in sorted(workspaces):
        rows = await database.fetch(
            f"SELECT {COLUMNS} FROM campaign_rounds WHERE workspace = ? AND state = 'running'", (workspace,)
        )
        found += [round_from(row) for row in rows]
    return found


async def load(room: Room, ids: list[str]) -> None:
    """The rounds whose timers are due, and the members of their next piece."""
    for id_ in ids:
        rows = await room.turn.database.look_up(((f"SELECT {COLUMNS} FROM campaign_rounds WHERE id = ?", (id_,)),))
        if not rows[0]:
            continue
        one = round_from(rows[0][0])
        room.rounds[id_] = one
        [members] = await room.turn.database.look_up(
            (("SELECT id FROM members WHERE id > ? ORDER BY id LIMIT ?", (one.after, room.turn.piece)),)
        )
        room.pieces[id_] = [str(row[0]) for row in members]
        known = {id_ for id_ in room.pieces[id_] if id_ in room.members or room.memory.members.get(id_) is not None}
        room.passing.update(set(room.pieces[id_]) - known)
        await room.load(members=room.pieces[id_])


def round_asked(desk: Desk, given: asked.Round) -> dict[str, Any]:
    """``loyalty.round_asked``: begin, or stop what is under way."""
    rule = desk.rules.campaigns.get(given.campaign)
    under_way = [
        one
        for one in desk.room.rounds.values()
        if one.workspace == desk.workspace and one.campaign == given.campaign and one.state == "running"
    ]
    if given.stop:
        if not under_way:
            raise Refused("round.none", "the campaign is not under way", field="campaign")
        for one in under_way:
            one.state, one.changed_ms = "stopped", desk.now_ms
            put(desk.room.turn.changes, one)
        return shown(under_way[0])
    if rule is None:
        raise Refused("campaign.unknown", "there is no such campaign", field="campaign")
    if rule.campaign.on != "round":
        raise Refused("round.kind", "only a campaign `on: round` goes through all members", field="campaign")
    if under_way:
        raise Refused("round.running", "the campaign is under way already", field="campaign")
    if desk.now_ms >= rule.ends_ms:
        raise Refused("campaign.over", "the campaign is over", field="campaign")
    one = Round(fresh("rnd"), desk.workspace, given.campaign, started_ms=desk.now_ms, changed_ms=desk.now_ms)
    desk.room.rounds[one.id] = one
    put(desk.room.turn.changes, one)
    desk.room.turn.set_timer(desk.now_ms, TIMER, one.id)
    return shown(one)


def piece(desk: Desk, one: Round) -> None:
    """The next piece of a round."""
    if one.state != "running":
        return
    ids = desk.room.pieces.get(one.id, [])
    facts = earning.facts_at(desk.rules, desk.now_ms)
    rule = desk.rules.campaigns.get(one.campaign)
    for id_ in ids:
        member = desk.room.members.get(id_)
        if member is None or member.workspace != one.workspace:
            continue
        one.looked += 1
        if rule is None:
            code = "ended"
        elif member.state != "active":
            code = "member_state"
        else:
            code = give_campaign(desk, member, one.campaign, facts, "campaign", one.id)
            if not code:
                desk.settle_due(member)
        if code:
            one.skipped[code] = one.skipped.get(code, 0) + 1
        else:
            one.reached += 1
    one.changed_ms = desk.now_ms
    if len(ids) < desk.room.turn.piece:
        one.state = "done"
        desk.room.tell(
            desk.library,
            "campaign.finished",
            one.id,
            {
                "campaign": one.campaign,
                "round": one.id,
                "looked": one.looked,
                "reached": one.reached,
                "skipped": one.skipped,
            },
        )
    else:
        one.after = ids[-1]
        desk.room.turn.set_timer(desk.now_ms, TIMER, one.id)
    put(desk.room.turn.changes, one)
    desk.room.turn.topics.add((desk.workspace, f"journey:campaign:{one.campaign}"))


def put(changes: Changes, one: Round) -> None:
    """Keep a round."""
    skipped = msgspec.json.encode(one.skipped).decode()
    changes.upsert(
        CAMPAIGN_ROUNDS,
        (
            one.id,
            one.workspace,
            one.campaign,
            one.state,
            one.after,
            one.looked,
            one.reached,
            skipped,
            one.started_ms,
            one.changed_ms,
        ),
    )


def shown(one: Round) -> dict[str, Any]:
    """A round as it is answered."""
    return {
        "round": one.id,
        "campaign": one.campaign,
        "state": one.state,
        "looked": one.looked,
        "reached": one.reached,
        "skipped": one.skipped,
    }


def library_of(room: Room, workspace: str) -> Library | None:
    """A workspace's library, if it is served here."""
    return room.turn.workspaces.get(workspace)
