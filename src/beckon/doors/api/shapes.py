"""Shapes: what the API shows of contacts, conversations, runs, deliveries, events and definitions. Pure."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from beckon.core.clock import iso
from beckon.core.contact import Consent, Contact
from beckon.core.delivery import TRANSITIONS as DELIVERY_STATES
from beckon.core.delivery import Delivery
from beckon.core.event import Event
from beckon.core.problems import Problem
from beckon.flows.run import Run
from beckon.inbox.conversation import Conversation
from beckon.inbox.entries import Call, Click, Error, Message, Note, Notice, Received, Results, Status

Instant = Annotated[
    str, Meta(description="RFC 3339, UTC, to the millisecond", extra_json_schema={"format": "date-time"})
]
ContactId = Annotated[str, Meta(pattern=r"^con_[0-9a-z]{1,40}$")]
Position = Annotated[int, Meta(ge=0)]
State = Annotated[str, Meta(extra_json_schema={"enum": sorted(DELIVERY_STATES)})]
Kind = Literal["flow", "template", "mapping", "schema", "script", "settings", "programme", "offer", "campaign"]


class AddressShown(msgspec.Struct, frozen=True):
    """Where a channel finds the contact. ``broken``: why it does not work, where a provider said so."""

    channel: str
    external_id: str
    broken: str | None


class ConsentShown(msgspec.Struct, frozen=True):
    """What the contact allowed or forbade, and the proof."""

    purpose: str
    channel: str
    granted: bool
    at: Instant
    proof: str


class ContactShown(msgspec.Struct, frozen=True, kw_only=True):
    """A person, and how they can be reached."""

    id: ContactId
    name: str
    locale: str
    time_zone: str
    addresses: list[AddressShown]
    #: this contact's own order of channels; empty: the workspace's.
    channel_order: list[str]
    #: channel → when the contact last wrote there.
    last_inbound: dict[str, Instant]
    fields: dict[str, str]
    #: when they were to be forgotten: all else but the id is empty then.
    forgotten: Instant | None = None


class ForgettingShown(msgspec.Struct, frozen=True, kw_only=True):
    """That a contact was to be forgotten, and how far that is."""

    contact: ContactId
    #: from then on nobody has their name and addresses, and nothing is sent to them.
    asked: Instant
    #: when the last that was written down of them was gone, and ``contact.forgotten`` said; null: under way.
    done: Instant | None


class ConversationShown(msgspec.Struct, frozen=True, kw_only=True):
    """The one conversation with a contact."""

    contact: ContactId
    name: str
    state: Literal["open", "closed"]
    inbox: str
    agent: str
    unread: Annotated[int, Meta(ge=0)]
    preview: str
    changed: Instant | None


class EntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a conversation. Each ``kind`` has a body of its own shape."""

    number: Position
    at: Instant
    kind: Literal["message", "received", "click", "results", "note", "status", "notice", "error", "call"]
    #: ``contact``, ``flow:<name>``, ``agent:<id>``, ``system``.
    author: str
    #: of a message: the delivery that carries it.
    delivery: str | None
    body: Annotated[
        msgspec.Raw,
        Meta(extra_json_schema={"anyOf": [{"$ref": f"#/components/schemas/{body.__name__}Body"} for body in (
            Message, Received, Click, Results, Note, Status, Notice, Error, Call,
        )]}),
    ]  # fmt: skip


class PassedOverShown(msgspec.Struct, frozen=True):
    """A channel that was not chosen, and why."""

    channel: str
    code: str
    reason: str


class ChoiceShown(msgspec.Struct, frozen=True):
    """The channel that was chosen, and why not the ones before it. ``channel`` empty: none could carry it."""

    channel: str
    provider: str
    reason: str
    passed_over: list[PassedOverShown]


class AttemptShown(msgspec.Struct, frozen=True, kw_only=True):
    """One handing-over to a provider, and how it ended."""

    number: int
    channel: str
    provider: str
    at: Instant
    outcome: str
    code: str
    why: str
    provider_id: str


class ReceiptShown(msgspec.Struct, frozen=True):
    """What a provider said later."""

    state: str
    at: Instant
    note: str


class DeliveryShown(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way to one contact."""

    id: str
    contact: ContactId
    run: str | None
    template: str | None
    text: str
    purpose: str
    state: State
    #: it is not known whether a provider has it.
    doubtful: bool
    choice: ChoiceShown | None
    attempts: list[AttemptShown]
    receipts: list[ReceiptShown]
    author: str
    created: Instant
    changed: Instant


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """One flow under way for one key."""

    id: str
    flow: str
    version: str
    key: str
    contact: str | None
    status: Literal["running", "waiting", "done", "stopped", "failed"]
    created: Instant
    changed: Instant


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in a run."""

    step: str
    at: Instant
    what: str
    why: str
    branch: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a run waits for: the first of these events, or the deadline."""

    step: str
    events: list[str]
    deadline: Instant | None


class RunError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed."""

    code: str
    why: str
    step: str


class RunDetail(RunShown, frozen=True, kw_only=True):
    """A run with its history."""

    #: the step where it stands; empty: past the last.
    step: str
    waiting: list[Waiting]
    history: list[StepTaken]
    variables: dict[str, Any]
    error: RunError | None
    #: the reason that ended it, where ``stop`` gave one.
    ended: str


class EventShown(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the journal."""

    position: Position
    id: str
    source: str
    type: str
    subject: str | None
    time: Instant
    accepted: Instant
    data: Any


class DefinitionShown(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a flow, a template, a mapping, a schema or the settings."""

    kind: Kind
    name: str
    version: str
    origin: Literal["folder", "api"]
    #: whether it is the version that new runs take.
    current: bool
    created: Instant


class DefinitionText(DefinitionShown, frozen=True, kw_only=True):
    """A definition with its text."""

    text: str


class ProblemShown(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a definition."""

    line: int
    path: str
    code: str
    why: str
    severity: Literal["error", "warning"]


class DefinitionTaken(DefinitionText, frozen=True, kw_only=True):
    """A definition that was taken; ``problems`` are warnings only."""

    problems: list[ProblemShown]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the checker found. ``ok``: no error, though there may be warnings."""

    ok: bool
    problems: list[ProblemShown]


class HealthShown(msgspec.Struct, frozen=True, kw_only=True):
    """How the line stands."""

    ok: bool
    version: str
    workspace: str
    store: str
    #: the journal's end.
    position: Position
    #: events that the wheel has not turned yet.
    behind: Annotated[int, Meta(ge=0)]
    #: commands that are ready or under way.
    waiting: Annotated[int, Meta(ge=0)]
    #: provider → why it is left alone at the moment.
    paused: dict[str, str]
    channels: list[str]
    flows: int
    templates: int


def show_contact(contact: Contact) -> ContactShown:
    """A contact as the API shows it."""
    return ContactShown(
        id=contact.id,
        name=contact.name,
        locale=contact.locale,
        time_zone=contact.time_zone,
        addresses=[AddressShown(one.channel, one.external_id, one.broken) for one in contact.addresses],
        channel_order=list(contact.channel_order),
        last_inbound={channel: iso(at_ms) for channel, at_ms in contact.last_inbound_ms.items()},
        fields=contact.fields,
        forgotten=iso(contact.forgotten_ms) if contact.forgotten_ms else None,
    )


def show_consent(consent: Consent) -> ConsentShown:
    """A consent as the API shows it."""
    return ConsentShown(consent.purpose, consent.channel, consent.granted, iso(consent.at_ms), consent.proof)


def show_conversation(talk: Conversation, name: str) -> ConversationShown:
    """A conversation as the API shows it."""
    return ConversationShown(
        contact=talk.contact,
        name=name,
        state="closed" if talk.state == "closed" else "open",
        inbox=talk.inbox,
        agent=talk.agent,
        unread=talk.unread,
        preview=talk.preview,
        changed=iso(talk.changed_ms) if talk.changed_ms else None,
    )


def show_delivery(delivery: Delivery) -> DeliveryShown:
    """A delivery as the API shows it."""
    choice = delivery.choice
    return DeliveryShown(
        id=delivery.id,
        contact=delivery.contact,
        run=delivery.run or None,
        template=delivery.template or None,
        text=delivery.text,
        purpose=delivery.purpose,
        state=delivery.state,
        doubtful=delivery.doubtful,
        choice=None
        if choice is None
        else ChoiceShown(
            choice.channel,
            choice.provider,
            choice.reason,
            [PassedOverShown(one.channel, one.code, one.reason) for one in choice.passed_over],
        ),
        attempts=[
            AttemptShown(
                number=one.number,
                channel=one.channel,
                provider=one.provider,
                at=iso(one.at_ms),
                outcome=one.outcome,
                code=one.code,
                why=one.why,
                provider_id=one.provider_id,
            )
            for one in delivery.attempts
        ],
        receipts=[ReceiptShown(state, iso(at_ms), note) for state, at_ms, note in delivery.receipts],
        author=delivery.author,
        created=iso(delivery.created_ms),
        changed=iso(delivery.changed_ms),
    )


def show_run(run: Run) -> RunDetail:
    """A run with its history as the API shows it."""
    return RunDetail(
        id=run.id,
        flow=run.flow,
        version=run.version,
        key=run.key,
        contact=run.contact or None,
        status=run.status,  # type: ignore[arg-type]
        created=iso(run.created_ms),
        changed=iso(run.changed_ms),
        step=run.pointer,
        waiting=[
            Waiting(
                step=wait.step,
                events=[awaited.type for awaited in wait.keys],
                deadline=iso(wait.deadline_ms) if wait.deadline_ms else None,
            )
            for wait in run.waiting
        ],
        history=[
            StepTaken(step=one.step, at=iso(one.at_ms), what=one.what, why=one.why, branch=one.branch)
            for one in run.history
        ],
        variables=run.variables,
        error=None if run.error is None else RunError(code=run.error.code, why=run.error.why, step=run.error.step),
        ended=run.ended,
    )


def show_event(event: Event) -> EventShown:
    """An event as the API shows it."""
    return EventShown(
        position=event.position,
        id=event.id,
        source=event.source,
        type=event.type,
        subject=event.subject,
        time=iso(event.time_ms),
        accepted=iso(event.accepted_ms),
        data=event.data,
    )


def show_problem(problem: Problem) -> ProblemShown:
    """A problem of a flow or a template as the API shows it."""
    severity: Literal["error", "warning"] = "warning" if problem.severity == "warning" else "error"
    return ProblemShown(line=problem.line, path=problem.path, code=problem.code, why=problem.why, severity=severity)
