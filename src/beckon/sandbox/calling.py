"""Calling: what a courier, a stranger and a customer do with their phones in a scenario, and what is seen of it."""

import msgspec

from beckon.sandbox.cast import Cast
from beckon.sandbox.people import Customer
from beckon.sandbox.scenarios import Called, Calling, Step
from beckon.sandbox.shopping import Looked
from beckon.sandbox.store import ANN, BO, CY, STORE, STRANGER
from beckon.telephony.call import CallRecord

WHO = {"bo": BO, "cy": CY, "stranger": STRANGER, "customer": ANN}


class CallerAtWork:
    """Everybody with a phone, and the call that is under way."""

    def __init__(self, cast: Cast, customer: Customer) -> None:
        self._cast = cast
        self._numbers = {**WHO, "me": customer.address("sms")}
        self._caller = BO

    def prepare(self, step: Step) -> None:
        """What is so from now on."""
        for number, fate in step.phones.items():
            self._cast.telephones.phone(self._numbers.get(number, number)).fate = fate
        if step.store:
            self._cast.store.fault = step.store

    def take(self, step: Calling) -> None:
        """Do what the step says."""
        telephones, number = self._cast.telephones, self._numbers[step.who]
        if step.calls:
            self._caller = number
            telephones.call(number, STORE)
        elif step.types:
            telephones.press(number, step.types)
        elif step.hangs_up:
            telephones.hang_up(number)

    def heard(self, wanted: str) -> Looked:
        """The words that the caller heard last."""
        said = [one.text for one in self._cast.telephones.phone(self._caller).heard if one.who != "me"]
        newest = said[-1] if said else ""
        return Looked(f"the caller hears “… {wanted} …”", f"the caller hears “{newest}”", wanted in newest)

    async def called(self, wanted: Called) -> list[Looked]:
        """The newest call of the caller, as the line keeps it."""
        record = await self._newest()
        if record is None:
            return [Looked("a call", "no call", False)]
        seen = []
        if wanted.outcome:
            why = f": {record.why}" if record.why else ""
            seen.append(
                Looked(
                    f"the call is {wanted.outcome}",
                    f"the call is {record.outcome}{why}",
                    record.outcome == wanted.outcome,
                )
            )
        told = " / ".join([f"{one.what}: {one.why}" if one.why else one.what for one in record.decisions])
        for words in wanted.decided:
            seen.append(Looked(f"decided: … {words} …", f"decided: {told[-300:]}", words in told))
        if wanted.recorded is not None:
            kept = [one for one in record.recordings if one.path]
            # Without a speaker there is nothing to record.
            ok = bool(record.recordings) == wanted.recorded
            word = "recorded" if wanted.recorded else "not recorded"
            seen.append(Looked(f"it is {word}", f"{len(record.recordings)} recordings, {len(kept)} with sound", ok))
        callee = self._cast.telephones.phone(ANN)
        if wanted.shown:
            seen.append(
                Looked(f"Ann’s phone shows {wanted.shown}", f"it shows {callee.shows}", callee.shows == wanted.shown)
            )
        if wanted.hint:
            said = " ".join(one.text for one in callee.heard if one.who == "us")
            seen.append(Looked(f"Ann hears “… {wanted.hint} …”", f"Ann hears “{said}”", wanted.hint in said))
        return seen

    async def _newest(self) -> CallRecord | None:
        rows = await self._cast.parts.reader.fetch(
            "SELECT body FROM calls WHERE workspace = ? ORDER BY started_ms DESC, id DESC LIMIT 1",
            (self._cast.parts.workspace,),
        )
        if not rows:
            return None
        return msgspec.convert(msgspec.json.decode(str(rows[0][0]))["record"], CallRecord)
