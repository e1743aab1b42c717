"""Definitions: what an upload, or a provider's word on a template, changes in a workspace's library."""

from typing import Any

from beckon.batch import Batch
from beckon.core.contact import Contact
from beckon.core.event import Event
from beckon.store.tables import APPROVALS, DEFINITIONS
from beckon.workspaces import Library


def template_status(
    batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None
) -> None:
    """A provider approved, rejected or paused a template."""
    row = (
        event.workspace, str(fields.get("provider")), str(fields.get("template")), str(fields.get("language")),
        str(fields.get("state")), event.time_ms,
    )  # fmt: skip
    batch.changes.upsert(APPROVALS, row)
    library.approvals[row[1], row[2], row[3]] = row[4]


def uploaded(batch: Batch, library: Library, event: Event, fields: dict[str, Any], contact: Contact | None) -> None:
    """A definition was uploaded: it is current from now on."""
    kind, name, version, text = (str(fields.get(key, "")) for key in ("kind", "name", "version", "text"))
    batch.changes.execute(
        "UPDATE definitions SET current = 0 WHERE workspace = ? AND kind = ? AND name = ?",
        (event.workspace, kind, name),
    )
    before = batch.uploaded.get((event.workspace, kind, name))
    if before is not None and before[3] != version:
        # Uploaded in this very turn: the statement above does not find it.
        batch.changes.upsert(DEFINITIONS, (*before[:6], 0, before[7]))
    row = (event.workspace, kind, name, version, text, "api", 1, event.accepted_ms)
    # A version that was there before stays what it was, the folder's or an earlier upload; it is current again.
    batch.changes.execute(
        "UPDATE definitions SET current = 1 WHERE workspace = ? AND kind = ? AND name = ? AND version = ?", row[:4]
    )
    batch.changes.insert_new(DEFINITIONS, row)
    batch.uploaded[event.workspace, kind, name] = row
    library.take(kind, name, text)
