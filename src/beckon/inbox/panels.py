"""Panel: a journey's own box beside a conversation."""

from typing import Protocol

from markupsafe import Markup

from beckon.inbox.reading import Reader


class Panel(Protocol):
    """A journey's own box beside a thread."""

    title: str

    async def show(self, reader: Reader, workspace: str, contact: str) -> Markup | None:
        """The box's inside; None: nothing to show for this contact."""
        ...
