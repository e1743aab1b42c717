"""People: who may sign in to the team's pages. What ``beckon people`` does, beside a running server too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from beckon.core.errors import Refused
from beckon.core.ids import secret
from beckon.settings import from_environment
from beckon.starting import new_person, opened
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import PEOPLE
from beckon.web.sessions import ROLES, Person, hash_password, mailbox
from beckon.workspaces import read_settings

_PASSWORD_CHARACTERS = 12
_NAME_MAX = 80


class Welcome(msgspec.Struct, frozen=True):
    """Somebody and their password, which is shown once and kept nowhere."""

    person: Person
    password: str


async def add(email: str, *, role: str, name: str = "", password: str = "") -> Welcome:
    """Let somebody in; without a ``password`` one is made. Raises ``Refused`` where that can't be."""
    _known_role(role)
    email = mailbox(email)
    async with _team() as (database, workspace):
        # A mailbox is known once in a database, whatever the workspace: it is all that one signs in with.
        rows = await database.fetch("SELECT workspace FROM people WHERE email = ?", (email,))
        if rows:
            where = "" if rows[0][0] == workspace else f" in the workspace {rows[0][0]!r} of this database"
            raise Refused(
                "person.exists",
                f"{email} can sign in already{where}; a new password: beckon people password {email}",
                field="email",
            )
        password = password or secret(_PASSWORD_CHARACTERS)
        return Welcome(
            await new_person(database, workspace, email, password, role=role, name=name.strip()[:_NAME_MAX]), password
        )


async def listed() -> list[Person]:
    """Everybody of the workspace, by mailbox."""
    async with _team() as (database, workspace):
        rows = await database.fetch(
            "SELECT id, workspace, email, name, role FROM people WHERE workspace = ? ORDER BY email", (workspace,)
        )
        return [Person(*map(str, row)) for row in rows]


async def new_password(email: str, password: str = "") -> Welcome:
    """Give somebody a new password and end their sessions. Raises ``Refused`` when there is no such person."""
    async with _team() as (database, workspace):
        person = await _person(database, workspace, email)
        password = password or secret(_PASSWORD_CHARACTERS)
        changes = Changes()
        changes.execute("UPDATE people SET password = ? WHERE id = ?", (hash_password(password), person.id))
        _end_sessions(changes, person)
        await database.commit(changes)
        return Welcome(person, password)


async def new_role(email: str, role: str) -> Person:
    """Give somebody another role, from their next page on. Raises ``Refused``."""
    _known_role(role)
    async with _team() as (database, workspace):
        person = await _person(database, workspace, email)
        if role != "owner":
            await _another_owner(database, person)
        changes = Changes()
        changes.execute("UPDATE people SET role = ? WHERE id = ?", (role, person.id))
        await database.commit(changes)
        return msgspec.structs.replace(person, role=role)


async def remove(email: str) -> Person:
    """Let somebody in no more; what they wrote stays. Raises ``Refused``."""
    async with _team() as (database, workspace):
        person = await _person(database, workspace, email)
        await _another_owner(database, person)
        changes = Changes()
        changes.delete(PEOPLE, (person.id,))
        _end_sessions(changes, person)
        await database.commit(changes)
        return person


@asynccontextmanager
async def _team() -> AsyncIterator[tuple[Database, str]]:
    settings = from_environment()
    workspace = read_settings(Path(settings.workspace)).workspace
    database = await opened(settings)
    try:
        yield database, workspace
    finally:
        await database.close()


async def _person(database: Database, workspace: str, email: str) -> Person:
    rows = await database.fetch(
        "SELECT id, workspace, email, name, role FROM people WHERE workspace = ? AND email = ?",
        (workspace, mailbox(email)),
    )
    if not rows:
        raise Refused("person.unknown", f"nobody signs in as {email}; who does: beckon people list", field="email")
    return Person(*map(str, rows[0]))


async def _another_owner(database: Database, person: Person) -> None:
    """Refuse what would leave a workspace without an owner."""
    rows = await database.fetch(
        "SELECT count(*) FROM people WHERE workspace = ? AND role = 'owner' AND id <> ?", (person.workspace, person.id)
    )
    if person.role == "owner" and not rows[0][0]:
        raise Refused(
            "person.last_owner",
            f"{person.email} is the only owner; first: beckon people role SOMEBODY owner",
            field="email",
        )


def _end_sessions(changes: Changes, person: Person) -> None:
    changes.execute("DELETE FROM sessions WHERE person = ?", (person.id,))


def _known_role(role: str) -> None:
    if role not in ROLES:
        raise Refused("person.role", f"there is no role {role!r}; there are {', '.join(ROLES)}", field="role")
