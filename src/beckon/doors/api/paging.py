"""Paging: the words in which every list is asked for."""

from typing import Annotated

from msgspec import Meta

_AFTER = "`next` of the page before"

Limit = Annotated[int, Meta(ge=1, le=200, description="how many at most")]
#: ``{milliseconds}.{id}``
PageKey = Annotated[str, Meta(pattern=r"^([0-9]{1,18}\.[0-9A-Za-z_]{1,80})?$", description=_AFTER)]
#: a conversation's entry, or a position of the journal.
NumberKey = Annotated[int, Meta(ge=0, le=10**18 - 1, description=_AFTER)]
#: ``{kind}.{name}``
NameKey = Annotated[
    str,
    Meta(
        pattern=r"^((flow|template|mapping|schema|settings|programme|offer|campaign)\.[A-Za-z0-9][A-Za-z0-9_.-]{0,99})?$",
        description=_AFTER,
    ),
]
#: a contact's id
ContactKey = Annotated[str, Meta(pattern=r"^(con_[0-9a-z]{1,40})?$", description=_AFTER)]
ContactWanted = Annotated[str, Meta(pattern=r"^(con_[0-9a-z]{1,40})?$", description="only of this contact")]
Name = Annotated[str, Meta(max_length=120)]
