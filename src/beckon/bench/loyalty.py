"""``beckon bench loyalty``: what a purchase costs with twenty campaigns, and a campaign to a million members.

Two servers side by side: one with a thousand members, one with a million. Each round asks both for the same, and the
first for bare events, so that the machine's noise hits all of them; a ratio is the median of the rounds' own ratios.
"""

import asyncio
import json
import statistics
import time
import urllib.request
from base64 import b64encode
from typing import Any

import click
import msgspec

from beckon.bench.events import NOTHING
from beckon.bench.place import FLOW, Place, place
from beckon.core.clock import SystemClock, from_iso
from beckon.core.ids import fresh
from beckon.journeys.loyalty_offers.member import Member, Phone, Profile
from beckon.store.changes import Changes
from beckon.store.database import open_database
from beckon.store.tables import MEMBER_KEYS, MEMBERS

_ROWS = 20_000
_ROWS_IMPORTED_MAX = 100_000
_CAMPAIGNS = 20
#: Shorter than a server keeps an idle connection, in seconds.
_PACED_S = 4
_encode = msgspec.json.Encoder().encode

PROGRAMME = """\
programme: bench
currency: USD
points: 10
per: 1
expiry: { kind: rolling, months: 12 }
point_value: 0.001
"""
OFFER = """\
offer: fifth
title: A fifth off
discount: { percent: 20 }
valid: 30d
"""
#: What the twenty ask for: three of them are met by the purchase, the others are skipped, each for its reason.
_KINDS = (
    "when: {{ basket: [{{ categories: [fries], count: 2, distinct: 2 }}], amount_min: 15 }}\ngives: {{ points: 5 }}",
    "when: {{ amount_min: 10 }}\ngives: {{ multiplier: 1{index:02d} }}",
    "when: {{ basket: [{{ items: [item-{index}], count: 1 }}] }}\ngives: {{ points: 50 }}",
    "when: {{ amount_min: 500 }}\ngives: {{ offer: fifth }}",
    "audience: {{ tags: [vip-{index}] }}\ngives: {{ multiplier: 200 }}",
    "when: {{ channels: [MOBILE] }}\ngives: {{ multiplier: 300 }}",
    "when: {{ often: {{ count: 90, days: 30 }} }}\ngives: {{ points: 9 }}",
)
EVERYBODY = """\
campaign: {name}
title: For everybody
on: round
gives: {{ offer: fifth }}
"""
#: Whom one of the campaigns reaches has a message of it.
TOLD = """\
flow: told
on: offer.issued
if: event.data.campaign == "told"
key: "{{ event.data.offer }}"
steps:
  - send: bench_message
    to: "{{ event.data.contact }}"
    with: { slug: offer, mark: "{{ event.data.title }}" }
"""
_SALE = json.dumps(
    {
        "store_id": "B7944570-DA96-4C87-8629-87AAC7BEB4E8",
        "client_id": "bee4a5bb-a65f-4245-a8ef-ae6d38157858",
        "request_id": "r%N",
        "request_payload": {
            "is_closed": True,
            "is_voided": False,
            "channel": "IN-STORE",
            "transaction_id": "t%N",
            "subtotal": 18.0,
            "tax_total": 0.0,
            "open_time": "2026-11-20T11:00:00.000Z",
            "modified_time": "2026-11-20T11:00:00.000Z",
            "items": [
                {
                    "line_id": "1",
                    "item_id": "pulled-pork-fries",
                    "quantity": 1,
                    "unit_price": 9.0,
                    "subtotal": 9.0,
                    "categories": ["fries"],
                },
                {
                    "line_id": "2",
                    "item_id": "curly-fries",
                    "quantity": 1,
                    "unit_price": 9.0,
                    "subtotal": 9.0,
                    "categories": ["fries"],
                },
            ],
            "payments": [
                {
                    "payment_id": "p%N",
                    "amount": 18.0,
                    "type": "Credit",
                    "user_id": "e%M",
                    "user_id_type": "External_ID",
                }
            ],
            "discounts": [],
        },
    },
    separators=(",", ":"),
)


def run(*, members: int, seconds: float, connections: int, rounds: int, as_json: bool) -> dict[str, Any]:
    """Measure, print a table, and with ``as_json`` one object in the last line."""
    with place() as few, place() as many:
        few.start_sink()
        many.sink = few.sink
        for made, count in ((few, 1_000), (many, members)):
            made.write(flow=FLOW)
            _define(made)
            began = time.perf_counter()
            asyncio.run(put_members(made.database_url, count))
            click.echo(f"{count:,} members in {time.perf_counter() - began:.0f} s", err=True)
            made.start_server()
        figures = _purchases(few, many, members, seconds, connections, rounds)
        few.stop_server()
        figures |= _beside(many, members, min(members, _ROWS_IMPORTED_MAX), connections)
        _print(figures, as_json)
        return figures


def _define(made: Place) -> None:
    files = {"programme/programme.yaml": PROGRAMME, "offers/fifth.yaml": OFFER, "flows/told.yaml": TOLD}
    for name in ("everybody", "beside", "told"):
        files[f"campaigns/{name}.yaml"] = EVERYBODY.format(name=name)
    for index in range(_CAMPAIGNS):
        kind = _KINDS[index % len(_KINDS)].format(index=index)
        files[f"campaigns/c{index}.yaml"] = f"campaign: c{index}\ntitle: Campaign {index}\n{kind}\n"
    for name, text in files.items():
        file = made.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


async def put_members(url: str, count: int) -> None:
    """Members e0, e1 … as an import leaves them."""
    database = open_database(url)
    await database.open()
    now = SystemClock().now_ms()
    changes = Changes()
    for number in range(count):
        member = Member(
            id=fresh("mem"),
            workspace="bench",
            joined_ms=now,
            changed_ms=now,
            profile=Profile(
                email=f"ann{number}@example.com",
                first_name="Ann",
                last_name=f"Number {number}",
                phones=(Phone(number=f"+3247{number:07d}"),),
                opted_in=True,
                locale="en",
            ),
            external={"external_id": f"e{number}"},
        )
        changes.insert(MEMBERS, (member.id, "bench", "active", now, _encode(member).decode()))
        phone = member.profile.phones[0].number
        for kind, word in (
            ("email", member.profile.email),
            ("external:external_id", f"e{number}"),
            ("phone", phone),
        ):
            changes.insert(MEMBER_KEYS, ("bench", kind, word, member.id))
        if number % _ROWS == _ROWS - 1:
            await database.commit(changes)
            changes = Changes()
    await database.commit(changes)
    await database.close()


def _sales(made: Place, members: int, **job: Any) -> dict[str, Any]:
    basic = b64encode(f"bench:{made.key}".encode()).decode()
    return made.load(
        port=made.port,
        path="/api/2.0/send_transaction",
        basic=basic,
        body=_SALE,
        members=members,
        expect="HTTP/1.1 200",
        **job,
    )


def _purchases(few: Place, many: Place, members: int, seconds: float, connections: int, rounds: int) -> dict[str, Any]:
    shape = {"connections": connections, "seconds": seconds, "count": 10_000_000}
    number = 1_000_000
    for made, count in ((few, 1_000), (many, members)):  # warm caches and prepared SQL
        _sales(made, count, first=number, connections=8, seconds=2, count=2_000)
        made.load(port=made.port, first=number, connections=8, seconds=1, count=500)
        made.wait_until_idle()
    rows: dict[str, list[float]] = {}
    for turn in range(rounds):
        number += 10_000_000
        accept = few.load(port=few.port, first=number, body=NOTHING, **shape)
        few.wait_until_idle()
        _note(rows, "accept", accept["answered"] / accept["seconds"])
        number += 10_000_000
        count = int(max(2_000, (rows["events"][-1] if "events" in rows else rows["accept"][-1] * 0.25) * seconds))
        before = few.ask_sink("/count")["count"]
        began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        done = few.load(port=few.port, first=number, **{**shape, "count": count, "seconds": 600})
        few.wait_until_idle()
        after = few.ask_sink("/count")
        if after["count"] - before != done["answered"]:
            raise SystemExit("not every event became a message: nothing was measured")
        _note(rows, "events", count / ((after["last_ns"] - max(began, done["started_ns"])) / 1e9))
        # Who goes first changes from round to round: the machine's noise must not favour one.
        for name, made, size in (("few", few, 1_000), ("many", many, members))[:: -1 if turn % 2 else 1]:
            number += 10_000_000
            cpu = made.cpu_s()
            done = _sales(made, size, first=number, **shape)
            made.wait_until_idle()
            _note(rows, name, done["answered"] / done["seconds"])
            _note(rows, f"{name}_us", (made.cpu_s() - cpu) / done["answered"] * 1e6)
        click.echo(
            f"round {turn + 1}: accept {rows['accept'][-1]:,.0f}/s   events {rows['events'][-1]:,.0f}/s   "
            f"purchases {rows['few'][-1]:,.0f}/s ({rows['few_us'][-1]:.0f} µs), with {members:,} members "
            f"{rows['many'][-1]:,.0f}/s ({rows['many_us'][-1]:.0f} µs)",
            err=True,
        )
    return {
        "accept_per_s": round(statistics.median(rows["accept"])),
        "events_per_s": round(statistics.median(rows["events"])),
        "transactions_per_s": round(statistics.median(rows["few"])),
        "ratio_to_events": _ratio(rows, "few", "events"),
        "ratio_to_accept": _ratio(rows, "few", "accept"),
        "cpu_us": round(statistics.median(rows["few_us"]), 1),
        "members": members,
        "transactions_per_s_many": round(statistics.median(rows["many"])),
        "cpu_us_many": round(statistics.median(rows["many_us"]), 1),
        "cost_ratio": _ratio(rows, "many_us", "few_us"),
        "memory_mb_many": round(many.memory_mb(), 1),
        "rounds": rounds,
        "connections": connections,
    }


def _note(rows: dict[str, list[float]], name: str, value: float) -> None:
    rows.setdefault(name, []).append(value)


def _ratio(rows: dict[str, list[float]], over: str, under: str) -> float:
    return round(statistics.median([a / b for a, b in zip(rows[over], rows[under], strict=True)]), 3)


def _beside(made: Place, members: int, rows: int, connections: int) -> dict[str, Any]:
    """What events wait while a campaign goes to all members, with and without messages, and while members come in.

    Alone before, between and after: what the machine's other work costs them meets all of them.
    """
    events = _Paced(made, min(connections, 64))
    took, _ = _campaign(made, "everybody", members, None)
    figures: dict[str, Any] = {"campaign_members": members, "campaign_alone_per_s": round(members / took)}
    events.alone()
    for name, campaign in (("campaign", "beside"), ("told", "told")):
        took, beside = _campaign(made, campaign, members, events)
        figures |= {f"{name}_s": round(took, 1), f"{name}_members_per_s": round(members / took)}
        figures |= _waits(name, beside)
        click.echo(
            f"{campaign}: {members / took:,.0f}/s, events wait {figures[f'event_p50_ms_{name}']} /"
            f" {figures[f'event_p99_ms_{name}']} ms beside it",
            err=True,
        )
        made.wait_until_idle(3_600)
        events.alone()
    took, beside = _import(made, rows, events)
    figures |= {"import_rows": rows, "import_rows_per_s": round(rows / took), **_waits("import", beside)}
    made.wait_until_idle(3_600)
    events.alone()
    return figures | _waits("alone", events.by_themselves)


class _Paced:
    """Events at a hundred a second, and how long each took to become a message."""

    def __init__(self, made: Place, connections: int) -> None:
        self._made = made
        self._connections = connections
        self._number = 900_000_000
        self.by_themselves: list[float] = []

    def some(self) -> list[float]:
        """For some seconds."""
        self._number += 1_000_000
        self._made.ask_sink("/latencies")
        self._made.load(
            port=self._made.port,
            first=self._number,
            seconds=_PACED_S,
            connections=self._connections,
            per_second=100.0,
        )
        latencies: list[float] = self._made.ask_sink("/latencies")
        return latencies

    def alone(self) -> None:
        """With nothing beside them."""
        self.by_themselves += self.some()


def _waits(name: str, latencies: list[float]) -> dict[str, float]:
    latencies.sort()
    return {f"event_p50_ms_{name}": _at(latencies, 0.5), f"event_p99_ms_{name}": _at(latencies, 0.99)}


def _campaign(made: Place, campaign: str, members: int, events: _Paced | None) -> tuple[float, list[float]]:
    """The seconds that a campaign took to all members, and what events waited meanwhile."""
    path = f"/v1/loyalty/campaigns/{campaign}/rounds"
    began = time.perf_counter()
    _post(made, path)
    beside: list[float] = []
    found: dict[str, Any] = {"state": "running"}
    while found["state"] == "running":
        if events is not None:
            beside += events.some()
        else:
            time.sleep(2)
        [found] = _get(made, path)["items"][:1]
        click.echo(f"{campaign}: {found['looked']:,} members looked at", err=True)
        if time.perf_counter() - began > 7_200:
            raise SystemExit("the campaign did not come to its end within two hours")
    if found["reached"] != members:
        raise SystemExit(f"{found['reached']} of {members} members were reached: nothing was measured")
    return (from_iso(found["changed"]) - from_iso(found["started"])) / 1000, beside


def _import(made: Place, rows: int, events: _Paced) -> tuple[float, list[float]]:
    """The seconds that an import took, and what events waited meanwhile."""
    file = made.folder / "members.csv"
    with file.open("w", encoding="utf-8") as opened:
        opened.write("external_id,email,first_name,phone,points\n")
        for number in range(rows):
            opened.write(f"i{number},new{number}@example.com,Ben,+3248{number:07d},10\n")
    began = time.perf_counter()
    importing = made.start(
        ["beckon", "loyalty", "import", str(file), "--url", f"http://127.0.0.1:{made.port}", "--key", made.key]
    )
    beside: list[float] = []
    while importing.poll() is None:
        beside += events.some()
    if importing.returncode:
        raise SystemExit(f"the import ended with {importing.returncode}")
    assert importing.stdout is not None
    last = importing.stdout.read().strip().splitlines()[-1]
    click.echo(last, err=True)
    return min(time.perf_counter() - began, _seconds_of(last)), beside


def _seconds_of(text: str) -> float:
    """``50,000 rows in 12.3 s (…``"""
    return float(text.partition(" in ")[2].partition(" s ")[0].replace(",", ""))


def _at(latencies: list[float], share: float) -> float:
    return round(latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1000, 2) if latencies else 0.0


def _post(made: Place, path: str) -> Any:
    return _asked(urllib.request.Request(f"http://127.0.0.1:{made.port}{path}", b"{}", _headers(made)))


def _get(made: Place, path: str) -> Any:
    return _asked(urllib.request.Request(f"http://127.0.0.1:{made.port}{path}", None, _headers(made)))


def _headers(made: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.key}", "Content-Type": "application/json"}


def _asked(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def _print(figures: dict[str, Any], as_json: bool) -> None:
    many = f"{figures['members']:,} members"
    rows = (
        ("accept alone (202 after a durable commit)", f"{figures['accept_per_s']:,} events/s", ""),
        ("accepted → flow → channel → HTTP → outcome", f"{figures['events_per_s']:,} events/s", "1"),
        (
            f"send_transaction, {_CAMPAIGNS} campaigns, 1,000 members",
            f"{figures['transactions_per_s']:,}/s",
            f"{figures['ratio_to_events']} of an event, {figures['ratio_to_accept']} of accept alone",
        ),
        (f"the same, {many}", f"{figures['transactions_per_s_many']:,}/s", ""),
        ("CPU of a transaction, 1,000 members", f"{figures['cpu_us']} µs", "1"),
        (f"the same, {many}", f"{figures['cpu_us_many']} µs", f"{figures['cost_ratio']}"),
        (
            f"a campaign to {many}: offer, event, contact",
            f"{figures['campaign_alone_per_s']:,}/s",
            "nothing beside it",
        ),
        *[
            (f"the same, {what}", f"{figures[f'{name}_members_per_s']:,}/s", "100 events/s beside it")
            for name, what in (("campaign", "event, contact"), ("told", "and a message each"))
        ],
        (f"an import of {figures['import_rows']:,}", f"{figures['import_rows_per_s']:,}/s", "the same beside it"),
        *[
            (
                f"event → message, p50 / p99, {what}",
                f"{figures[f'event_p50_ms_{name}']} / {figures[f'event_p99_ms_{name}']} ms",
                f"{figures[f'event_p50_ms_{name}'] / max(0.01, figures['event_p50_ms_alone']):.1f} / "
                f"{figures[f'event_p99_ms_{name}'] / max(0.01, figures['event_p99_ms_alone']):.1f}",
            )
            for name, what in (
                ("alone", "alone"),
                ("campaign", "beside the campaign"),
                ("told", "beside it with messages"),
                ("import", "beside the import"),
            )
        ],
    )
    for what, figure, ratio in rows:
        click.echo(f"{what:<54}{figure:>22}  {ratio}")
    if as_json:
        click.echo(json.dumps(figures))
