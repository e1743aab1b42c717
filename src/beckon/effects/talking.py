"""Talking: what stands in a conversation, and where the conversation stands, within one turn."""

from beckon.batch import Batch
from beckon.core.command import Post
from beckon.core.contact import Contact
from beckon.core.event import Event
from beckon.inbox import conversation as talks
from beckon.inbox.entries import Entry, entries_for, entry_for_post


def enter(batch: Batch, event: Event, contact: Contact) -> None:
    """What an event puts into the contact's conversation, and what it makes of it."""
    delivery = batch.deliveries.get(batch.delivery_of.get(event.position, ""))
    entries = entries_for(event, contact.id, delivery)
    if not entries and event.type not in talks.ACTS:
        return
    for entry in entries:
        batch.put_entry(entry, contact)
    batch.put_conversation(talks.apply(batch.conversation(contact), event, entries))
    batch.topics.add((contact.workspace, "conversations"))
    batch.topics.add((contact.workspace, f"conversation:{contact.id}"))


def add(batch: Batch, contact: Contact, entry: Entry) -> None:
    """Append an entry."""
    batch.post(entry, contact)


def tell_team(batch: Batch, contact: Contact, text: str, flow: str) -> None:
    """An error entry: something that the team must know of a flow."""
    entry = entry_for_post(
        Post(id="", workspace=contact.workspace, kind="error", body=text),
        contact=contact.id,
        author=f"flow:{flow}",
        at_ms=batch.now_ms,
    )
    add(batch, contact, entry)
