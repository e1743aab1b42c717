"""Starting: an example workspace, its first owner, its keys. What ``beckon init`` and ``beckon key`` do."""

import shutil
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from beckon.core.clock import SystemClock
from beckon.core.errors import Misconfigured, Refused
from beckon.core.ids import fresh, secret
from beckon.doors.api.keys import SCOPES, digest, new_token
from beckon.journeys.journey import found as found_journeys
from beckon.settings import ServerSettings, from_environment
from beckon.store.changes import Changes
from beckon.store.database import Database, open_database
from beckon.store.migrations import migrate
from beckon.store.tables import API_KEYS, PEOPLE
from beckon.web.sessions import Person, mailbox, person_row
from beckon.workspaces import read_settings

#: What a journey's folder may bring into a workspace.
_PARTS = ("flows", "templates", "mappings", "schemas", "tests", "scripts", "script_tests")

_SETTINGS = """\
# What this workspace is, and whom it works with. docs/settings.md has every line that may stand here.
workspace: main
name: {name}
locale: en
time_zone: Europe/Brussels
region: BE                # for phone numbers that are written without a country

# The order in which channels are tried; the first that can reach the contact is taken.
channels: [oem_app, whatsapp, sms, email]

# Accounts with providers. Secrets are taken from the environment: {{env: NAME}}.
# Each provider's README says which settings it has: src/beckon/providers/<name>/README.md
providers:{providers}

inboxes:
  service-advisors: {{ title: Service advisors }}

# Free values for flows and templates: {{{{ settings.checkin_url }}}}
values:
  checkin_url: {checkin_url}
  service_url: {checkin_url}
  reception: "+3232000000"   # whom the call script courier connects with
  dispatcher: "+3232000001"
  programme: Fancy Fries
  offers_url: {offers_url}   # a member's page, here or in your app; {{link}} is the short link's own, and a pass to it

# Phone calls: a switch of our own, and the call script of each number. docs/calls.md has the rest.
# telephony:
#   switch: {{ sip: {{ phones: {{ bo: {{ password: {{env: BO_PHONE}} }} }} }} }}
#   numbers: {{ "*": courier }}

# Hosts that `http:` steps may call though their addresses are not public.
allowed_hosts: []
"""


class Made(msgspec.Struct):
    """What ``init`` made; the secrets are shown once and kept nowhere."""

    files: list[Path]
    token: str
    email: str = ""
    password: str = ""


def write_example(
    folder: Path,
    *,
    name: str = "Garage Van Dijk",
    providers: Mapping[str, Mapping[str, Any]] | None = None,
    checkin_url: str = "https://check-in.example",
    offers_url: str = "http://127.0.0.1:8080/wallet/{link}",
    extra: str = "",
) -> list[Path]:
    """Write an example workspace: settings, and the flows, templates, mappings, tests and definitions of every journey.

    Raises ``Misconfigured`` when the folder has a ``beckon.yaml`` already.
    """
    if (folder / "beckon.yaml").exists():
        raise Misconfigured("workspace.exists", f"{folder} is a workspace already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured("workspace.folder", f"{folder} can't be made: {error.strerror}") from error
    written = []
    for journey in found_journeys().values():
        for part in (*_PARTS, *[str(Path(kind.pattern).parent) for kind in journey.kinds]):
            for file in sorted((journey.folder / part).glob("*.*")):
                if file.suffix in (".yaml", ".json"):
                    target = folder / part / file.name
                    target.parent.mkdir(exist_ok=True)
                    shutil.copyfile(file, target)
                    written.append(target)
    text = (
        _SETTINGS.format(name=name, providers=_block(providers or {}), checkin_url=checkin_url, offers_url=offers_url)
        + extra
    )
    (folder / "beckon.yaml").write_text(text, encoding="utf-8")
    return [folder / "beckon.yaml", *written]


async def init_workspace(folder: Path, *, email: str = "") -> Made:
    """Write the example, and into its database a first owner and a key. Raises ``Refused``, ``Misconfigured``."""
    email = mailbox(email) if email else ""
    files = write_example(folder)
    settings = read_settings(folder)
    database = await opened(msgspec.structs.replace(from_environment(), workspace=str(folder)))
    try:
        token = await new_key(database, settings.workspace, "first", "events read write definitions")
        made = Made(files, token)
        if email:
            made.email, made.password = email, secret(12)
            await new_person(database, settings.workspace, email, made.password, role="owner")
        return made
    finally:
        await database.close()


async def new_key(database: Database, workspace: str, label: str, scopes: str) -> str:
    """Make a key in an open database; its text."""
    unknown = set(scopes.split()) - SCOPES
    if unknown or not scopes.split():
        raise Refused(
            "key.scopes", f"scopes are {', '.join(sorted(SCOPES))}, not {', '.join(sorted(unknown)) or 'none'}"
        )
    token = new_token()
    changes = Changes()
    now = SystemClock().now_ms()
    changes.insert(API_KEYS, (digest(token), workspace, label, " ".join(scopes.split()), now, None))
    await database.commit(changes)
    return token


async def new_person(
    database: Database, workspace: str, email: str, password: str, *, role: str, name: str = ""
) -> Person:
    """Make somebody who can sign in."""
    person = Person(fresh("per"), workspace, mailbox(email), name or email.partition("@")[0], role)
    changes = Changes()
    changes.insert(PEOPLE, person_row(person, password, SystemClock().now_ms()))
    await database.commit(changes)
    return person


async def make_key(label: str, scopes: str) -> str:
    """``beckon key new``."""
    settings = from_environment()
    workspace = read_settings(Path(settings.workspace)).workspace
    database = await opened(settings)
    try:
        return await new_key(database, workspace, label, scopes)
    finally:
        await database.close()


async def revoke_keys(label: str) -> int:
    """``beckon key revoke``: how many keys of this label were in use. Raises ``Refused`` when there was none."""
    settings = from_environment()
    read_settings(Path(settings.workspace))
    database = await opened(settings)
    try:
        rows = await database.fetch("SELECT count(*) FROM api_keys WHERE label = ? AND revoked_ms IS NULL", (label,))
        if not rows[0][0]:
            raise Refused("key.unknown", f"no key in use has the label {label!r}")
        changes = Changes()
        changes.execute(
            "UPDATE api_keys SET revoked_ms = ? WHERE label = ? AND revoked_ms IS NULL",
            (SystemClock().now_ms(), label),
        )
        await database.commit(changes)
        return int(rows[0][0] or 0)
    finally:
        await database.close()


async def opened(settings: ServerSettings) -> Database:
    """The server's store, migrated: whoever opens it closes it."""
    database = open_database(settings.store_url)
    await database.open()
    await migrate(database)
    return database


def _block(providers: Mapping[str, Mapping[str, Any]]) -> str:
    if not providers:
        return " {}"
    lines = []
    for name, fields in providers.items():
        lines.append(f"\n  {name}:")
        lines += [f"\n    {key}: {msgspec.json.encode(value).decode()}" for key, value in fields.items()]
    return "".join(lines)


def make_vapid_key() -> tuple[str, str]:
    """A fresh key for Web Push, private and public, as base64url writes them (RFC 8292)."""
    key = ec.generate_private_key(ec.SECP256R1())
    number = key.private_numbers().private_value.to_bytes(32, "big")
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    private, public = [urlsafe_b64encode(octets).rstrip(b"=").decode() for octets in (number, point)]
    return private, public
