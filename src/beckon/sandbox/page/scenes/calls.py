"""Calls: couriers who call the store, its customer's phone, and the system that the switch asks, faults among it."""

from datetime import timedelta
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.errors import BeckonError, Refused
from beckon.sandbox.cast import Cast
from beckon.sandbox.page.scenes import Look, Region
from beckon.sandbox.page.shown import APPS, App, Moment, steps
from beckon.sandbox.people import Customer
from beckon.sandbox.store import ANN, BO, COURIERS, CY, DISPATCHER, FAULTS, ORDERS, RECEPTION, STORE, STRANGER
from beckon.telephony.call import CallRecord
from beckon.web.filters import moment
from beckon.web.filters import phone as written

BUSINESS = "Vos Parcels"
_TITLES = ("Call", "The store asks", "Order typed", "Customer rings", "Hint", "Connected", "Judged")
_NAMES = {ANN: "Ann, the customer", RECEPTION: "The reception", DISPATCHER: "The dispatcher"}
#: The hours between which the clock is left as it is for the story.
_DAY = (8, 20)
_SUNDAY = 6
_FATES = {"rings": "Somebody is there", "busy": "Busy", "no_answer": "Nobody answers"}


class _Caller(Customer, frozen=True, kw_only=True):
    """Somebody with a phone number of their own, not one that is made."""

    phone: str = ""

    def address(self, channel: str) -> str:
        """A phone is all they have."""
        return self.phone if channel == "sms" else super().address(channel)


class Caller(msgspec.Struct):
    """A caller of the scene."""

    id: str
    customer: _Caller


class Calls:
    """The scene of interactive calls."""

    def __init__(self, cast: Cast, time_zone: str) -> None:
        self._cast = cast
        self._zone = time_zone
        self.look = Look(
            name="calls",
            title="Calls",
            icon="call",
            business=BUSINESS,
            part=("Store", BUSINESS, "Store"),
            phone="Caller",
            team="Service advisors",
            story="The courier story, step by step",
            apps=(App("calls", "Phone", "call"), APPS["sms"]),
            channels=("sms",),
            flow_titles={"courier-call": "What the store answers"},
            drags=(("+1 h", 1), ("+1 d", 24), ("+90 d", 2_160)),
            slider=(72, 1),
            style="page/calls.css",
        )
        self.acts = {
            "call": self._call,
            "key": self._key,
            "hang_up": self._hang_up,
            "lift": self._lift,
            "put_down": self._put_down,
            "fate": self._fate,
            "wire": self._wire,
        }
        self.routes = (Route("/sandbox/calls/{say}.wav", self._audio, methods=["GET"]),)
        self.callers = {
            one.id: one
            for one in (
                Caller("c1", _Caller(name="Bo (courier)", number=901, has=("sms",), phone=BO)),
                Caller("c2", _Caller(name="Cy (no order)", number=902, has=("sms",), phone=CY)),
                Caller("c3", _Caller(name="Somebody", number=903, has=("sms",), phone=STRANGER)),
            )
        }
        self.fresh()

    def opened(self) -> None:
        """By night the reception is closed, and on Sundays: whoever opens the page has it be ten o'clock of a day."""
        now_ms = self._cast.clock.now_ms()
        local = moment(now_ms, self._zone)
        if _DAY[0] <= local.hour < _DAY[1] and local.weekday() != _SUNDAY:
            return
        ten = local.replace(hour=10, minute=0, second=0, microsecond=0)
        while ten <= local or ten.weekday() == _SUNDAY:
            ten += timedelta(days=1)
        self._cast.parts.drag(int(ten.timestamp() * 1_000) - now_ms)

    def fresh(self) -> None:
        """Every phone is put down, and the store's system works."""
        self._cast.telephones.fresh()
        self._cast.store.fault = "well"
        for number in _NAMES:
            self._cast.telephones.phone(number).fate = "rings"

    def somebody(self, id_: str) -> Caller:
        """The caller of this id; the courier where there is none."""
        return self.callers.get(id_) or self.callers["c1"]

    def has(self, who: Caller, channel: str, on: bool) -> None:
        """A phone stays a phone."""

    # What is shown.

    async def regions(self, who: Caller, seen: Moment) -> dict[str, Region]:
        """The story, the store with its customer's phone, and the caller's phone."""
        telephones, store = self._cast.telephones, self._cast.store
        mine = telephones.phone(who.customer.phone)
        others = [telephones.phone(number) for number in _NAMES]
        ringing = next((one for one in others if one.state != "idle"), others[0])
        record = await self._newest(who.customer.phone)
        return {
            "story": ("story", {"story": self._story(who, record)}),
            "business": (
                "switchboard",
                {
                    "callers": list(self.callers.values()),
                    "who": who,
                    "couriers": COURIERS,
                    "orders": ORDERS,
                    "store": written(STORE),
                    "theirs": ringing,
                    "whose": _NAMES[ringing.number],
                    "fate": telephones.phone(ANN).fate,
                    "fates": _FATES,
                    "wires": FAULTS,
                    "wire": store.fault,
                    "asked": store.asked,
                    "answered": store.answered,
                    "written": written,
                },
            ),
            "app-calls": (
                "keypad",
                {
                    "mine": mine,
                    "store": written(STORE),
                    "written": written,
                    "speaks": telephones.speak is not None,
                    "record": record,
                },
            ),
        }

    def _story(self, who: Caller, record: CallRecord | None) -> list[dict[str, str]]:
        mine, ann = self._cast.telephones.phone(who.customer.phone), self._cast.telephones.phone(ANN)
        told = " ".join([f"{one.what} {one.why}" for one in record.decisions]) if record is not None else ""
        over = record is not None and bool(record.outcome)
        heard = [one.text for one in mine.heard]
        connected = any(one.who == "me" for one in mine.heard) or "connected with" in told
        done = [
            mine.state != "idle" or record is not None,
            bool(heard) or "was told" in told,
            "#" in mine.keys or bool(record is not None and record.digits),
            ann.state != "idle" or f"dialled {ANN}" in told,
            any(one.who == "us" for one in ann.heard) or f"connected with {ANN}" in told,
            connected,
            over,
        ]
        details = (
            "the store, not the customer",
            "who is it?",
            "4711, then #",
            "sees the store’s number",
            "who calls, and why",
            "and recorded",
            "in the conversation",
        )
        return steps(_TITLES, details, done, letters="1234567")

    async def _newest(self, number: str) -> CallRecord | None:
        rows = await self._cast.parts.reader.fetch(
            "SELECT body FROM calls WHERE workspace = ? ORDER BY started_ms DESC, id DESC LIMIT 20",
            (self._cast.parts.workspace,),
        )
        for (body,) in rows:
            record = msgspec.convert(msgspec.json.decode(str(body))["record"], CallRecord)
            if record.caller == number:
                return record
        return None

    async def _audio(self, request: Request) -> Response:
        """Something that a phone heard."""
        heard = self._cast.telephones.heard(str(request.path_params["say"]))
        if heard is None:
            raise HTTPException(404)
        try:
            wav = await self._cast.telephones.spoken(heard.text, "en-US" if heard.who == "them" else "en-GB")
        except BeckonError:
            raise HTTPException(404) from None
        if not wav:
            raise HTTPException(404)
        return Response(wav, media_type="audio/wav", headers={"Cache-Control": "private, max-age=600"})

    # What a visitor does.

    async def _call(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        self._cast.telephones.call(who.customer.phone, STORE)
        return {}

    async def _key(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        key = str(fields.get("key", ""))
        if len(key) != 1 or key not in "0123456789*#":
            raise Refused("demo.key", "A phone has no such key.", field="key")
        self._cast.telephones.press(who.customer.phone, key)
        return {}

    async def _hang_up(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        self._cast.telephones.hang_up(who.customer.phone)
        return {}

    async def _lift(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        self._cast.telephones.lift(self._other(fields))
        return {}

    async def _put_down(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        self._cast.telephones.hang_up(self._other(fields))
        return {}

    async def _fate(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        fate = str(fields.get("fate", ""))
        if fate not in _FATES:
            raise Refused("demo.fate", "A phone does no such thing.", field="fate")
        self._cast.telephones.phone(ANN).fate = fate
        return {}

    async def _wire(self, who: Caller, fields: dict[str, Any]) -> dict[str, Any]:
        fault = str(fields.get("fault", ""))
        if fault not in FAULTS:
            raise Refused("demo.fault", "There is no such fault.", field="fault")
        self._cast.store.fault = fault
        return {}

    @staticmethod
    def _other(fields: dict[str, Any]) -> str:
        number = str(fields.get("number", ""))
        return number if number in _NAMES else ANN
