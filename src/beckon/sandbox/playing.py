"""Playing: a scenario step by step with the whole cast, each step compared with what everybody should see.

Nothing sleeps: after each step the cast is waited for until nothing moves, and time passes by dragging the clock.
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from beckon.core.delivery import Delivery
from beckon.core.event import Json
from beckon.inbox.entries import Error
from beckon.inbox.reading import ShownEntry
from beckon.sandbox.calling import CallerAtWork
from beckon.sandbox.cast import Answer, Cast, Opened
from beckon.sandbox.people import PROVIDER_OF, Customer
from beckon.sandbox.scenarios import Answered, Delivered, Entry, Page, Phone, RunState, Scenario, Step
from beckon.sandbox.shopping import Looked, Shopper
from beckon.sandbox.twins.party import Shown
from beckon.sandbox.wvp import Visit
from beckon.sandbox.wvp.app import start_data

_DURATION = re.compile(r"(\d+)(s|m|h|d)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TEXT_MAX = 140


def answers_of(customer: Customer) -> dict[str, dict[str, Any]]:
    """What the customer answers in the check-in app, form by form; their addresses stay as the business knows them."""
    by_phone = {"whatsapp", "sms"} & set(customer.has)
    return {
        "contact": {
            "name": customer.name,
            "phone": customer.address("sms") if by_phone else "",
            "email": customer.address("email") if "email" in customer.has or not by_phone else "",
        },
        "mileage": {"mileage": "45 300", "unit": "km"},
        "wishes": {"wish": ["wash", "tyres"], "note": "A rattling noise at the front, above 80 km/h."},
        "key": {"key_drop": "box"},
        "consent": {"terms": "yes", "updates": "yes"},
        "review": {},
    }


class Line(msgspec.Struct, frozen=True):
    """One step as it is reported."""

    scenario: str
    step: str
    expected: str
    seen: str
    ok: bool


async def play(scenario: Scenario, cast: Cast, *, number: int = 1) -> AsyncIterator[Line]:
    """Play a scenario and give each step's line as soon as it is done. ``number`` makes the customer's addresses."""
    who = scenario.customer
    customer = Customer(name=who.name, has=who.has, locale=who.locale, number=number, origin=cast.origin)
    player = _Player(scenario, cast, customer)
    for step in scenario.steps:
        seen = await player.take(step)
        yield Line(
            scenario.scenario,
            step.step,
            "; ".join([one.expected for one in seen]),
            "; ".join([one.seen for one in seen]),
            all(one.ok for one in seen),
        )


def duration_ms(text: str) -> int:
    """``24h``, ``90s``, ``1d`` in milliseconds. Raises ``ValueError``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration like 24h")
    return int(found[1]) * _UNIT_MS[found[2]]


class _Player:
    """One scenario under way."""

    def __init__(self, scenario: Scenario, cast: Cast, customer: Customer) -> None:
        self._cast = cast
        self._customer = customer
        self._visit: Visit = cast.plan(
            customer,
            visit=f"visit-{customer.number:04d}",
            vehicle={"make": "BMW", "model": "320d Touring", "plate": "1-ABC-234", "year": 2022, "mileage": 41_250},
            appointment={"work": ["Yearly service"]},
        )
        self._shopper = Shopper(cast, customer)
        self._caller = CallerAtWork(cast, customer)
        self._answer: Answer | None = None
        self._opened: Opened | None = None
        self._problem = ""

    async def take(self, step: Step) -> list[Looked]:
        """Do what the step says, wait until nothing moves, and look."""
        self._problem = ""
        # A second goes by between two steps, as it would: what happens later is newer.
        self._cast.parts.drag(1_000)
        await self._do(step)
        await self._cast.quiet()
        seen = await self._look(step)
        if self._problem:
            seen.insert(0, Looked("it can be done", self._problem, False))
        return seen or [Looked("it is done", "it is done", True)]

    # Doing.

    async def _do(self, step: Step) -> None:
        cast, customer = self._cast, self._customer
        for provider, faults in step.fault.items():
            for name, value in faults.items():
                setattr(cast.twins[provider].faults, name, value)
        if step.well:
            for name in cast.twins.names():
                cast.twins[name].faults.clear()
        self._caller.prepare(step)
        if step.start:
            self._answer = await cast.say("checkin.start", start_data(self._visit))
        elif step.say is not None:
            data = {"visit": self._visit.visit, "contact": customer.contact(), **step.say.data}
            self._answer = await cast.say(step.say.type, data)
        elif step.repeat and self._answer is not None:
            self._answer = await cast.post(self._answer.sent)
        elif step.tap:
            await self._tap(step.tap)
        elif step.check_in:
            url = self._opened.url if self._opened is not None else cast.wvp.url(self._visit)
            self._opened = await cast.check_in(url, answers_of(customer))
        elif step.write is not None:
            await cast.write(customer, step.write.on, step.write.text)
        elif step.read:
            await cast.read(customer, step.read)
        elif step.reply:
            status = await cast.reply(customer, step.reply)
            if status not in (200, 303):
                self._problem = f"the console answered {status}"
        elif step.shop is not None:
            try:
                await self._shopper.take(step.shop)
            except LookupError as error:
                self._problem = str(error.args[0])
        elif step.call is not None:
            self._caller.take(step.call)
        elif step.drag:
            await cast.drag(duration_ms(step.drag))

    async def _tap(self, channel: str) -> None:
        ours = [message for message in self._cast.on_phone(self._customer, channel) if not message.own]
        url = link_of(ours[-1]) if ours else ""
        if not url:
            self._problem = f"the newest message on {channel} has no link"
            return
        self._opened = await self._cast.open(url)

    # Looking.

    async def _look(self, step: Step) -> list[Looked]:
        seen: list[Looked] = []
        if step.answer is not None:
            seen.append(self._answered(step.answer))
        if step.page is not None:
            seen.append(self._page(step.page))
        if step.said is not None:
            seen.append(self._shopper.said(step.said))
        if step.wallet is not None:
            seen += await self._shopper.wallet(step.wallet)
        if step.campaigns:
            seen.append(await self._shopper.campaigns(step.campaigns))
        if step.heard:
            seen.append(self._caller.heard(step.heard))
        if step.called is not None:
            seen += await self._caller.called(step.called)
        seen += [self._phone(wanted) for wanted in step.phone]
        seen += [self._silence(channel) for channel in step.silent]
        if step.delivery is not None:
            seen += _deliveries(step.delivery, await self._cast.deliveries(self._customer))
        if step.run is not None:
            seen.append(await self._run(step.run))
        if step.entry or step.inbox:
            talk = await self._cast.conversation(self._customer)
            seen += [_entry(wanted, talk.entries if talk else ()) for wanted in step.entry]
            if step.inbox:
                inbox = talk.conversation.inbox if talk else ""
                seen.append(
                    Looked(f"it stands in the inbox {step.inbox}", f"inbox: {inbox or 'none'}", inbox == step.inbox)
                )
        return seen

    def _answered(self, wanted: Answered) -> Looked:
        status = self._answer.status if self._answer else 0
        body: Json = self._answer.body if self._answer else None
        duplicate = bool(body.get("duplicate")) if isinstance(body, dict) else False
        known = " as known before" if wanted.duplicate else ""
        said = f"answered {status}{' as known before' if duplicate else ''}"
        if status >= 400:
            said += f": {body}"[:_TEXT_MAX]
        ok = (status, duplicate) == (wanted.status, wanted.duplicate)
        return Looked(f"answered {wanted.status}{known}", said, ok)

    def _page(self, wanted: Page) -> Looked:
        page = self._opened
        status, title = (page.status, _title(page.text)) if page else (0, "")
        ok = page is not None and status == wanted.status and wanted.says in page.text
        return Looked(f"the browser shows {wanted.status} {wanted.says!r}", f"the browser shows {status} {title!r}", ok)

    def _phone(self, wanted: Phone) -> Looked:
        ours = [message for message in self._cast.on_phone(self._customer, wanted.on) if not message.own]
        newest = ours[-1] if ours else None
        ok = newest is not None or wanted.count == 0
        if newest is not None:
            template = newest.template or "none"
            ok = wanted.says in f"{newest.subject}\n{newest.text}"
            ok = ok and (not wanted.template or template == wanted.template)
            ok = ok and (not wanted.button or any(button.text == wanted.button for button in newest.buttons))
        ok = ok and wanted.count in (-1, len(ours))
        parts = [f"on {wanted.on}"]
        if wanted.count >= 0:
            parts.append(f"{wanted.count} messages")
        parts += [part for part in (_quoted(wanted.says), _button(wanted.button)) if part]
        if wanted.template:
            parts.append("free text" if wanted.template == "none" else f"template {wanted.template}")
        return Looked(" ".join(parts), _shown(wanted.on, newest, len(ours)), ok)

    def _silence(self, channel: str) -> Looked:
        ours = [message for message in self._cast.on_phone(self._customer, channel) if not message.own]
        return Looked(f"nothing on {channel}", _shown(channel, ours[-1] if ours else None, len(ours)), not ours)

    async def _run(self, wanted: RunState) -> Looked:
        runs = await self._cast.runs(self._customer)
        run = next((one for one in reversed(runs) if wanted.flow in ("", one.flow)), None)
        expected = " ".join([f"the flow {wanted.flow}".rstrip(), wanted.status, f"at {wanted.at}" if wanted.at else ""])
        if wanted.count >= 0:
            expected += f" {wanted.count} runs"
        if run is None:
            return Looked(expected.strip(), "no run", wanted.count == 0)
        ok = wanted.status in ("", run.status) and wanted.at in ("", run.pointer) and wanted.count in (-1, len(runs))
        said = f"the flow {run.flow} {run.status}" + (f" at {run.pointer}" if run.pointer else "")
        said += f" {len(runs)} runs" if wanted.count >= 0 else ""
        return Looked(expected.strip(), said + (f": {run.error.why}" if run.error else ""), ok)


def link_of(message: Shown) -> str:
    """Where a message's link leads: its button's, or the one written in its text (a text message has no buttons)."""
    for button in message.buttons:
        if button.kind == "link":
            return button.value
    found = re.search(r"https?://[^\s<>\"')]+", message.text)
    return found[0].rstrip(".,") if found else ""


def _deliveries(wanted: Delivered, deliveries: list[Delivery]) -> list[Looked]:
    seen: list[Looked] = []
    if wanted.count >= 0:
        seen.append(Looked(f"{wanted.count} messages", f"{len(deliveries)} messages", len(deliveries) == wanted.count))
    delivery = deliveries[-1] if deliveries else None
    choice = delivery.choice if delivery is not None else None
    if delivery is None or choice is None:
        if wanted.channel or wanted.state or wanted.passed:
            seen.append(Looked("a message", "no message", False))
        return seen
    if wanted.channel or wanted.because:
        channel, none = choice.channel or "none", "none" if wanted.channel == "none" else wanted.channel
        ok = wanted.channel in ("", channel) and wanted.because in choice.reason
        because = f" because {wanted.because}" if wanted.because else ""
        seen.append(Looked(f"channel {none}{because}", f"channel {channel} because {choice.reason}", ok))
    if wanted.state:
        seen.append(
            Looked(f"the message is {wanted.state}", f"the message is {delivery.state}", delivery.state == wanted.state)
        )
    reasons = {one.channel: one.reason for one in choice.passed_over}
    for channel, reason in wanted.passed.items():
        said = reasons.get(channel)
        seen.append(
            Looked(
                f"{channel} passed over: … {reason} …",
                f"{channel} passed over: {said}" if said is not None else f"{channel} not passed over",
                said is not None and reason in said,
            )
        )
    if wanted.attempts:
        tries = tuple([f"{one.channel} {one.outcome}" for one in delivery.attempts])
        seen.append(
            Looked(f"tries: {', '.join(wanted.attempts)}", f"tries: {', '.join(tries)}", tries == wanted.attempts)
        )
    return seen


def _entry(wanted: Entry, entries: tuple[ShownEntry, ...]) -> Looked:
    found = [entry for entry in entries if entry.kind == wanted.kind]
    expected = f"{'entries' if wanted.count != 1 and wanted.count >= 0 else 'entry'} {wanted.kind}"
    if wanted.count >= 0:
        expected = f"{wanted.count} {expected}"
    expected += "".join([f" … {words} …" for words in wanted.says])
    if not found:
        return Looked(expected, f"no entry {wanted.kind}", wanted.count == 0)
    newest = words_of(found[-1])
    ok = all(words in newest for words in wanted.says) and wanted.count in (-1, len(found))
    return Looked(expected, f"{len(found)} {wanted.kind}, the newest: {_cut(newest)}", ok)


def words_of(entry: ShownEntry) -> str:
    """All the words of an entry, for looking in."""
    body = entry.body
    if isinstance(body, Error):
        reasons = "; ".join([f"{one.channel}: {one.reason}" for one in body.passed_over])
        return f"{body.text} {reasons}".strip()
    said: Mapping[str, Any] = msgspec.to_builtins(body)
    return " ".join(_flat(said))


def _flat(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [word for name, inner in value.items() for word in (f"{name}:", *_flat(inner))]
    if isinstance(value, list | tuple):
        return [word for inner in value for word in _flat(inner)]
    return [str(value)]


def _shown(channel: str, newest: Shown | None, count: int) -> str:
    if newest is None:
        return f"nothing on {channel}"
    parts = [f"on {channel}", f"{count} messages:" if count != 1 else "", _quoted(newest.text)]
    parts += [_button(button.text) for button in newest.buttons[:1]]
    if PROVIDER_OF[channel] == "whatsapp_cloud":
        parts.append(f"template {newest.template}" if newest.template else "free text")
    return " ".join([part for part in parts if part])


def _quoted(text: str) -> str:
    return f"“{_cut(' '.join(text.split()))}”" if text else ""


def _button(text: str) -> str:
    return f"[{text}]" if text else ""


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    return " ".join(found[1].split()) if found else _cut(html)
