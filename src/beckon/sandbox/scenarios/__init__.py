"""Scenarios: stories of the sandbox as data, one YAML file each, in the words of the seed. ``playing`` plays them.

A scenario has a customer, changes to the example workspace where it needs some, and steps. A step says in words what
happens, does one thing (``start``, ``say``, ``tap``, ``drag`` …) or nothing, and says what everybody sees then.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.errors import Misconfigured
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.sandbox.people import CHANNELS


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to the example workspace: a whole file, or a text in it replaced by another one."""

    file: str
    text: str = ""
    replace: str = ""
    by: str = ""

    def apply(self, folder: Path) -> None:
        """Change the file. Raises ``Misconfigured`` where the text to be replaced isn't in it."""
        file = folder / self.file
        if self.text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.text, encoding="utf-8")
            return
        before = file.read_text(encoding="utf-8")
        if self.replace not in before:
            raise Misconfigured("scenario.edit", f"{self.file} has no text {self.replace!r} to be replaced")
        file.write_text(before.replace(self.replace, self.by), encoding="utf-8")


class Who(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scenario's customer."""

    name: str = "Anna Janssens"
    has: tuple[str, ...] = CHANNELS
    locale: str = "en"


class Say(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that the business system posts; ``visit`` and ``contact`` are added to its data."""

    type: str
    data: dict[str, Any] = {}


class Write(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The customer writes."""

    on: str
    text: str


class Phone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an app of the phone shows: its newest message of ours, and how many of ours there are."""

    on: str
    says: str = ""
    button: str = ""
    #: the approved template that carried it; ``none``: free text.
    template: str = ""
    #: how many messages of ours the app shows; -1: any number.
    count: int = -1


class Delivered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest message as the team sees it: its channel and why, who was passed over and why."""

    channel: str = ""
    because: str = ""
    state: str = ""
    passed: dict[str, str] = {}
    #: hand-overs and tries, in order: ``whatsapp unavailable``, ``whatsapp sent``.
    attempts: tuple[str, ...] = ()
    #: how many messages there are in all; -1: any number.
    count: int = -1


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry in the conversation: its kind, and words in it; ``count``: how many of the kind there are."""

    kind: str
    says: tuple[str, ...] = ()
    count: int = -1


class RunState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest run: of which flow, how it stands, at which step."""

    flow: str = ""
    status: str = ""
    at: str = ""
    count: int = -1


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page that the customer's browser ended on."""

    status: int = 200
    says: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server's answer to the event."""

    status: int = 202
    duplicate: bool = False


class Join(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody signs up in the shop's app; ``consent``: to marketing. The app then says its device, if there is one."""

    consent: bool = True


class Pay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The till takes money for one of each of these wares; ``offer``: of the wallet, by its name, is used."""

    items: tuple[str, ...]
    offer: str = ""


class Shopping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member does in the shop, one of these: over the vendor's documented routes."""

    join: Join | None = None
    pay: Pay | None = None
    #: these wares of the newest sale come back; an empty list: all of it.
    give_back: tuple[str, ...] | None = None
    #: an offer of the rewards store, by its name.
    buy: str = ""
    #: a promo code.
    code: str = ""
    #: the last request once more, with the same id.
    again: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the shop is answered: done, or refused with this code; ``total``: what was paid."""

    code: str = ""
    total: str = ""


class Wallet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of the offers in the wallet, and the points that can be spent; -1: any number."""

    offers: tuple[str, ...] | None = None
    points: int = -1


class Calling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody does with a phone, one of these; ``who``: bo, cy (no order today), stranger, customer, me."""

    who: str = "bo"
    #: calls the store.
    calls: bool = False
    types: str = ""
    hangs_up: bool = False


class Called(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the newest call came out, words of its decisions, whether it was recorded, what the callee was shown."""

    outcome: str = ""
    decided: tuple[str, ...] = ()
    recorded: bool | None = None
    #: the callee's phone showed this number of whoever called it.
    shown: str = ""
    #: the callee heard these words before the two were connected.
    hint: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step: its words, what is done (one of the first block at most), what is seen then."""

    step: str

    #: the workshop visit provider says ``checkin.start``.
    start: bool = False
    say: Say | None = None
    #: the last event once more, with the same id.
    repeat: bool = False
    #: the customer taps the newest message's button in this app, and the browser opens.
    tap: str = ""
    #: the customer goes through the check-in app.
    check_in: bool = False
    write: Write | None = None
    #: the customer reads what is new in this app.
    read: str = ""
    #: a service advisor answers from the console.
    reply: str = ""
    #: the customer is a member of the shop's programme.
    shop: Shopping | None = None
    call: Calling | None = None
    #: a phone's number → what becomes of calls to it from now on: answers, busy, no_answer, declined.
    phones: dict[str, str] = {}
    #: what is wrong with the store's system from now on: well, slow, dead, 500, wrong_json, unknown_code.
    store: str = ""
    #: ``24h``, ``10m``, ``31d``.
    drag: str = ""
    #: provider → faults that begin now.
    fault: dict[str, dict[str, Any]] = {}
    #: all providers are well again.
    well: bool = False

    answer: Answered | None = None
    said: Said | None = None
    wallet: Wallet | None = None
    #: campaigns that the shop's app shows, by their names.
    campaigns: tuple[str, ...] = ()
    #: words that the courier's (or stranger's) phone heard last.
    heard: str = ""
    called: Called | None = None
    page: Page | None = None
    phone: tuple[Phone, ...] = ()
    #: apps that show nothing of ours.
    silent: tuple[str, ...] = ()
    delivery: Delivered | None = None
    entry: tuple[Entry, ...] = ()
    run: RunState | None = None
    #: the inbox in which the conversation stands.
    inbox: str = ""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A story with its checks."""

    scenario: str
    title: str
    customer: Who = Who()
    workspace: tuple[Edit, ...] = ()
    steps: tuple[Step, ...]


@lru_cache(maxsize=1)
def scenarios() -> dict[str, Scenario]:
    """Every scenario of this folder by its name, in the order of the files. Raises ``Misconfigured``."""
    found: dict[str, Scenario] = {}
    for file in sorted(Path(__file__).parent.glob("*.yaml")):
        for scenario in read_scenarios(file.read_text(encoding="utf-8"), file.name):
            if scenario.scenario in found:
                raise Misconfigured("scenario.twice", f"{file.name}: there are two scenarios {scenario.scenario!r}")
            found[scenario.scenario] = scenario
    return found


def read_scenarios(text: str, file: str) -> list[Scenario]:
    """The scenarios in one file: a list of them. Raises ``Misconfigured`` naming the field."""
    try:
        return msgspec.convert(read_yaml(text).value, list[Scenario])
    except YamlProblem as error:
        raise Misconfigured("scenario.yaml", f"{file}, line {error.line}: {error.why}") from error
    except msgspec.ValidationError as error:
        raise Misconfigured("scenario.fields", f"{file}: {error}") from error
