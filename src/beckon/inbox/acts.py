"""Acts: what a person of the team does in a conversation, as events; what a reply asks to be sent. Pure.

The pages write nothing themselves: they say one of these events to ``accept``. ``once`` is the form's own
token, so that a form that was sent twice is one event.
"""

from beckon.core.command import Send
from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.core.ids import derived

SOURCE = "beckon/console"

REPLY_MAX = 4_096
NOTE_MAX = 8_192
NAME_MAX = 120


class Actor:
    """Who acts, where and when."""

    __slots__ = ("now_ms", "once", "person", "workspace")

    def __init__(self, workspace: str, person: str, *, now_ms: int, once: str) -> None:
        self.workspace = workspace
        self.person = person
        self.now_ms = now_ms
        self.once = once

    def say(self, type: str, subject: str, fields: dict[str, object]) -> Event:
        """The event of one act."""
        return Event(
            workspace=self.workspace,
            source=SOURCE,
            id=derived("act", type, subject, self.person, self.once),
            type=type,
            time_ms=self.now_ms,
            subject=subject,
            data={**fields, "by": self.person},
        )


def replied(actor: Actor, contact: str, text: str) -> Event:
    """An agent answers the contact. Raises ``Refused`` for an empty or too long text."""
    words = _words(text, REPLY_MAX, "The reply")
    return actor.say("agent.replied", contact, {"contact": contact, "text": words, "agent": actor.person})


def noted(actor: Actor, contact: str, text: str) -> Event:
    """An agent writes an internal note. Raises ``Refused`` for an empty or too long text."""
    words = _words(text, NOTE_MAX, "The note")
    return actor.say("agent.noted", contact, {"contact": contact, "text": words})


def assigned(actor: Actor, contact: str, *, inbox: str, agent: str, agent_name: str = "") -> Event:
    """The conversation goes to an inbox and, if named, to a person. Both empty: to nobody."""
    if len(inbox) > NAME_MAX or len(agent) > NAME_MAX:
        raise Refused("inbox.name", f"An inbox's name has at most {NAME_MAX} characters.", field="inbox")
    fields: dict[str, object] = {"contact": contact, "inbox": inbox, "agent": agent}
    if agent_name:
        fields["agent_name"] = agent_name
    return actor.say("conversation.assigned", contact, fields)


def closed(actor: Actor, contact: str) -> Event:
    """Nothing more is to be done here until the contact writes again."""
    return actor.say("conversation.closed", contact, {"contact": contact})


def forget_asked(actor: Actor, contact: str) -> Event:
    """The contact is to be forgotten, for good."""
    return actor.say("contact.forget_asked", contact, {"contact": contact})


def reopened(actor: Actor, contact: str) -> Event:
    """It is to be worked on again."""
    return actor.say("conversation.reopened", contact, {"contact": contact})


def read(actor: Actor, contact: str, seen: int) -> Event:
    """The person saw this many of the unread entries."""
    return actor.say("conversation.read", contact, {"contact": contact, "seen": seen})


def resend_asked(actor: Actor, contact: str, delivery: str, *, accept_duplicate: bool) -> Event:
    """A person asks for a delivery to be sent again, accepting for a doubtful one that it may come twice."""
    fields: dict[str, object] = {
        "delivery": delivery,
        "contact": contact,
        "accept_duplicate": accept_duplicate,
    }
    return actor.say("delivery.resend_asked", contact, fields)


def reply_command(event: Event) -> Send:
    """What ``agent.replied`` asks to be sent: free text on the best channel. Same event, same command."""
    fields = event.data if isinstance(event.data, dict) else {}
    contact, text = fields.get("contact"), fields.get("text")
    if not isinstance(contact, str) or not isinstance(text, str) or not contact or not text:
        raise Refused("reply.incomplete", "A reply names a contact and has a text.", field="data.text")
    return Send(
        id=derived("cmd", event.workspace, event.source, event.id),
        workspace=event.workspace,
        contact=contact,
        to=contact,
        text=text,
    )


def reply_author(event: Event) -> str:
    """The author of the message that ``reply_command`` leads to: ``agent:<id>``."""
    by = event.data.get("by") if isinstance(event.data, dict) else None
    return f"agent:{by}" if isinstance(by, str) and by else "system"


def _words(text: str, most: int, what: str) -> str:
    words = text.strip()
    if not words:
        raise Refused("text.empty", f"{what} is empty.", field="text")
    if len(words) > most:
        raise Refused("text.too_long", f"{what} has {len(words)} characters; {most} are allowed.", field="text")
    return words
