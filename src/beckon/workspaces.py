"""What each workspace has defined: settings, flows, templates, schemas, mappings, channels, acts.

A workspace is a folder (``beckon init`` writes an example) whose flows and templates can be replaced by upload. Every
version that was ever current stays in the table ``definitions``: a run keeps the version that it started with.
"""

import importlib.util
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Misconfigured
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.flows.definition import Flow, FlowProblems, parse_flow
from beckon.flows.matching import Shape
from beckon.intake.mappings import Mapping as EventMapping
from beckon.intake.mappings import parse_mapping
from beckon.intake.schemas import Schema
from beckon.messaging.channel import Channel, Connections
from beckon.messaging.templates import Template, parse_template
from beckon.settings import WorkspaceSettings, misfit, settled
from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import DEFINITIONS, WORKSPACES
from beckon.telephony import script_check
from beckon.telephony.script import Script
from beckon.telephony.script_reading import parse_script

log = logging.getLogger("beckon.workspaces")

#: Definitions of one kind in one workspace.
_FILES_MAX = 500
_FILE_SIZE_BYTES_MAX = 262_144

#: The settings that may be uploaded.
UPLOADABLE = frozenset(
    (
        *("name", "colour", "locale", "time_zone", "region", "channels", "rates", "attempts_max", "first_delay_ms"),
        *("doubtful", "link_hours", "inboxes", "values"),
    )
)

#: Types that only we say; a door refuses them from outside.
OWN_TYPES = (
    "message.", "delivery.", "agent.", "conversation.", "link.", "template.", "definition.", "event.", "http.",
    "call.", "consent.", "contact.changed", "contact.forget_asked", "contact.forgotten", "record.", "run.stop_asked",
)  # fmt: skip

Act = Callable[[Mapping[str, Any], str], Awaitable[Any]]


class DefinitionKind(msgspec.Struct, frozen=True):
    """A kind of definition that a journey brings: in files of the workspace's folder, or uploaded, like all others."""

    #: ``campaign``: the first key of such a file, and there its name.
    kind: str
    #: where such files are: ``campaigns/*.yaml``
    pattern: str
    #: raises ``Problems``
    parse: Callable[[str], Any]

    def name_of(self, made: Any) -> str:
        """What a definition calls itself."""
        return str(getattr(made, self.kind))


class Library:
    """One workspace's definitions, compiled."""

    def __init__(self, workspace: str, settings: WorkspaceSettings, folder: Path) -> None:
        self.workspace = workspace
        #: types that only we say here, by how they begin: the line's, and the journeys'
        self.own_types: tuple[str, ...] = OWN_TYPES
        #: those in force: the folder's, and over them what was uploaded.
        self.settings = settings
        self.of_folder = settings
        self.folder = folder
        self.templates: dict[str, Template] = {}
        self.schemas: dict[str, Schema | None] = {}
        self.mappings: dict[str, EventMapping] = {}
        self.channels: dict[str, Channel] = {}
        self.acts: dict[str, Act] = {}
        #: what journeys define, by kind; and all that is defined of it: kind → name → what was read
        self.kinds: dict[str, DefinitionKind] = {}
        self.defined: dict[str, dict[str, Any]] = {}
        #: grows with every definition that is taken: what was made of them before is old.
        self.taken = 0
        #: (provider, template, language) → WhatsApp's word on it
        self.approvals: dict[tuple[str, str, str], str] = {}
        #: for ``http:`` steps: public addresses only
        self.outside: Connections
        #: how many events may be awaited, by type: the shapes of all versions, since old runs may sleep
        self.shapes: dict[str, tuple[Shape, ...]] = {}
        self.flows: dict[str, Flow] = {}
        #: call scripts
        self.scripts: dict[str, Script] = {}
        self._versions: dict[tuple[str, str], Flow] = {}
        self._on: dict[str, tuple[Flow, ...]] = {}
        self._secrets: dict[str, str] = {}
        #: keys the digests of what was forgotten: they say nothing to who has the database alone.
        self.digest_key = b""
        #: somebody was forgotten here: who comes anew may be among them.
        self.tombs = False

    def digest(self, *words: str) -> str:
        """What is kept of an address, or another name of a person, once they are forgotten: 32 hex digits."""
        text = "\x1f".join((self.workspace, *words)).encode("utf-8", "surrogatepass")
        return blake2b(text, key=self.digest_key, digest_size=16).hexdigest()

    def flows_on(self, type_: str) -> tuple[Flow, ...]:
        """The flows that an event of this type starts, in order of name."""
        return self._on.get(type_, ())

    def flow(self, name: str, version: str) -> Flow | None:
        """One version of a flow."""
        return self._versions.get((name, version))

    async def keep(self, name: str, version: str, database: Database) -> None:
        """Have a version at hand that a sleeping run started with."""
        if (name, version) not in self._versions:
            rows = await database.fetch(
                "SELECT body FROM definitions WHERE workspace = ? AND kind = 'flow' AND name = ? AND version = ?",
                (self.workspace, name, version),
            )
            for (body,) in rows:
                try:
                    self._add_version(parse_flow(str(body)))
                except FlowProblems as error:
                    log.error("a version of the flow %s can't be read any more: %s", name, error)

    def template(self, name: str) -> Template | None:
        """The template of this name."""
        return self.templates.get(name)

    def secret(self, name: str) -> str:
        """A secret's value. Raises ``Misconfigured`` when there is none of that name."""
        try:
            return self._secrets[name]
        except KeyError as error:
            raise Misconfigured(
                "secret.unknown", f"beckon.yaml has no secret named {name!r}", field="secret"
            ) from error

    def knows(self, type_: str) -> bool:
        """Whether an event type is known: by a schema, or because a flow begins with it or waits for it."""
        return type_ in self.schemas or type_ in self._on or type_ in self.shapes

    def types(self) -> frozenset[str]:
        """The event types that are known."""
        return frozenset((*self.schemas, *self._on, *self.shapes))

    def take(self, kind: str, name: str, text: str) -> None:
        """Use this text from now on. Raises the parser's problems, or ``Misconfigured``."""
        self.taken += 1
        if kind == "flow":
            flow = _flow(text)
            self.flows[flow.name] = flow
            self._add_version(flow)
            self._index()
        elif kind == "template":
            template = _template(text)
            self.templates[template.name] = template
        elif kind == "mapping":
            mapping = parse_mapping(text)
            self.mappings[mapping.name] = mapping
        elif kind == "schema":
            self.schemas[name] = Schema(name, msgspec.json.decode(text))
        elif kind == "script":
            script = _script(text)
            self.scripts[script.name] = script
        elif kind == "settings":
            self.settings = parse_settings(text, self.of_folder)
        elif kind in self.kinds:
            made = self.kinds[kind].parse(text)
            self.defined.setdefault(kind, {})[self.kinds[kind].name_of(made)] = made
        else:
            raise Misconfigured("definition.kind", f"there is no definition of kind {kind!r}", field="kind")

    def _add_version(self, flow: Flow) -> None:
        self._versions[flow.name, flow.version] = flow
        for shape in flow.shapes:
            known = self.shapes.get(shape.event_type, ())
            if shape not in known:
                self.shapes[shape.event_type] = (*known, shape)

    def _index(self) -> None:
        on: dict[str, list[Flow]] = {}
        for name in sorted(self.flows):
            for type_ in self.flows[name].on:
                on.setdefault(type_, []).append(self.flows[name])
        self._on = {type_: tuple(flows) for type_, flows in on.items()}


class Workspaces:
    """All workspaces of this server, by id."""

    def __init__(self) -> None:
        self._libraries: dict[str, Library] = {}

    def get(self, workspace: str) -> Library | None:
        """A workspace's library; None: nobody has that workspace here."""
        return self._libraries.get(workspace)

    def all(self) -> list[Library]:
        """Every library."""
        return list(self._libraries.values())

    def add(self, library: Library) -> None:
        """Serve this workspace from now on."""
        self._libraries[library.workspace] = library


def read_settings(folder: Path, *, without_secrets: bool = False) -> WorkspaceSettings:
    """Read ``beckon.yaml``; secrets written ``{env: NAME}`` come from the environment. Raises ``Misconfigured``.

    ``without_secrets``: those that are not set are left empty, as for a check where nobody knows them.
    """
    file = folder / "beckon.yaml"
    if not file.exists():
        raise Misconfigured(
            "workspace.missing",
            f"{folder} has no beckon.yaml; run: beckon init {folder}, or set BECKON_WORKSPACE to the right one",
        )
    try:
        fields = read_yaml(text_of(file)).value
    except YamlProblem as error:
        raise Misconfigured("workspace.yaml", f"{file}, line {error.line}: {error.why}") from error
    try:
        return settled(msgspec.convert(_from_environment(fields, without_secrets), WorkspaceSettings))
    except msgspec.ValidationError as error:
        raise Misconfigured("workspace.settings", f"{file}: {misfit(error, WorkspaceSettings)}") from error
    except Misconfigured as error:
        raise Misconfigured(error.code, f"{file}: {error.why}", field=error.field) from error


def parse_settings(text: str, of_folder: WorkspaceSettings) -> WorkspaceSettings:
    """The folder's settings with uploaded ones over them. Raises ``Misconfigured``.

    Accounts, secrets and who may be called stay with those who have the folder.
    """
    try:
        fields = read_yaml(text).value
    except YamlProblem as error:
        raise Misconfigured("settings.yaml", f"line {error.line}: {error.why}") from error
    if not isinstance(fields, dict) or not fields:
        raise Misconfigured("settings.form", "settings are an object of names and values")
    for name in fields:
        if name not in UPLOADABLE:
            raise Misconfigured(
                "settings.folder_only", f"what can be uploaded is {', '.join(sorted(UPLOADABLE))}", field=str(name)[:80]
            )
    try:
        settings = msgspec.convert({**msgspec.to_builtins(of_folder), **fields}, WorkspaceSettings)
    except msgspec.ValidationError as error:
        raise Misconfigured("workspace.settings", misfit(error, WorkspaceSettings)) from error
    return settled(settings)


async def open_workspace(
    folder: Path,
    *,
    database: Database,
    clock: Clock,
    event_types: Mapping[str, Mapping[str, Any]],
    own_types: tuple[str, ...] = (),
    kinds: Sequence[DefinitionKind] = (),
) -> Library:
    """Read a workspace's folder, take over what was uploaded, and note every new version.

    ``event_types``: the journeys' types with their schemas; ``own_types``: those that only we say; ``kinds``: what
    journeys define beside the line's own.
    Raises ``Misconfigured`` naming the file and the line.
    """
    settings = read_settings(folder)
    library = Library(settings.workspace, settings, folder)
    library.own_types = (*OWN_TYPES, *own_types)
    for type_, document in event_types.items():
        library.schemas[type_] = Schema(type_, document) if document else None
    library.kinds = {kind.kind: kind for kind in kinds}
    found = _definitions(folder, kinds)
    kept = await database.fetch(
        "SELECT kind, name, version, body, origin, current FROM definitions WHERE workspace = ? ORDER BY created_ms",
        (settings.workspace,),
    )
    changes = Changes()
    now = clock.now_ms()
    newest_of_folder = {(row[0], row[1]): row[2] for row in kept if row[4] == "folder"}
    # Uploaded after the folder was read last: also a version that the folder had before.
    current = {
        (str(row[0]), str(row[1])): str(row[3])
        for row in kept
        if row[5] and newest_of_folder.get((row[0], row[1])) != row[2]
    }
    for (kind, name), (file, text) in found.items():
        try:
            library.take(kind, name, text)
        except BeckonError as error:
            raise Misconfigured(f"{kind}.broken", f"{file}: {error}") from error
        version = _version(library, kind, name, text)
        if newest_of_folder.get((kind, name)) != version:
            changes.execute(
                "UPDATE definitions SET current = 0 WHERE workspace = ? AND kind = ? AND name = ?",
                (settings.workspace, kind, name),
            )
            changes.upsert(DEFINITIONS, (settings.workspace, kind, name, version, text, "folder", 1, now))
            current.pop((kind, name), None)
    for (kind, name), text in current.items():
        try:
            library.take(kind, name, text)
        except BeckonError as error:
            # It was fine when it was uploaded, and nobody is here to mend it: all else is served.
            log.error("the uploaded %s %s can't be read any more: %s", kind, name, error)
    for row in kept:
        if row[0] == "flow":
            flow = library.flow(str(row[1]), str(row[2]))
            if flow is None:
                try:
                    library._add_version(parse_flow(str(row[3])))
                except FlowProblems as error:
                    log.warning("an old version of the flow %s can't be read any more: %s", row[1], error)
    for provider, template, language, state in await database.fetch(
        "SELECT provider, template, language, state FROM approvals WHERE workspace = ?", (settings.workspace,)
    ):
        library.approvals[str(provider), str(template), str(language)] = str(state)
    changes.upsert(WORKSPACES, (settings.workspace, settings.name, str(folder), now))
    await database.commit(changes)
    library.acts.update(_acts(folder))
    library._secrets.update(settings.secrets)
    return library


def script_facts(library: Library) -> script_check.Library:
    """What the checker of call scripts may know of an opened workspace."""
    return script_facts_of(library.settings, library.folder)


def script_facts_of(settings: WorkspaceSettings, folder: Path) -> script_check.Library:
    """What the checker of call scripts may know of a folder."""
    prompts = folder / "prompts"
    return script_check.Library(
        secrets=frozenset(settings.secrets),
        files=frozenset(file.relative_to(prompts).as_posix() for file in prompts.rglob("*.*"))
        if prompts.is_dir()
        else frozenset(),
        settings=frozenset(settings.values),
    )


#: The same text is read once: what is read is frozen, and a start looks at each text several times.
_flow = lru_cache(maxsize=256)(parse_flow)
_template = lru_cache(maxsize=256)(parse_template)
_script = lru_cache(maxsize=256)(parse_script)

#: The first line of a definition, where it isn't called after its kind.
_NAMED_BY = {"script": "call"}


def _name_in(kind: str, text: str) -> str:
    """The name that a definition gives itself, by its own line where it has one: reading all of it takes long."""
    word = _NAMED_BY.get(kind, kind)
    for line in text.splitlines():
        if line.startswith(f"{word}:"):
            return str(read_yaml(line).value[word])
    return str(read_yaml(text).value[word])


def version_of(kind: str, text: str) -> str:
    """The version of a definition's text."""
    if kind == "flow":
        return _flow(text).version
    if kind == "script":
        return _script(text).version
    return sha256(text.encode()).hexdigest()[:16]


def _version(library: Library, kind: str, name: str, text: str) -> str:
    return library.flows[name].version if kind == "flow" and name in library.flows else version_of(kind, text)


def _definitions(folder: Path, kinds: Sequence[DefinitionKind]) -> dict[tuple[str, str], tuple[Path, str]]:
    """(kind, name) → (file, text) of everything in the folder. A name stands inside its file; a file is named alike."""
    found: dict[tuple[str, str], tuple[Path, str]] = {}
    for kind, pattern in (
        ("flow", "flows/*.yaml"), ("template", "templates/*.yaml"), ("mapping", "mappings/*.yaml"),
        ("script", "scripts/*.yaml"), ("schema", "schemas/*.json"), *[(one.kind, one.pattern) for one in kinds],
    ):  # fmt: skip
        files = sorted(folder.glob(pattern))
        if len(files) > _FILES_MAX:
            raise Misconfigured("workspace.files", f"{folder}: more than {_FILES_MAX} files of {pattern}")
        for file in files:
            text = text_of(file)
            name = file.stem
            if kind != "schema":
                with suppress(YamlProblem, KeyError, TypeError):  # the parser says it better
                    name = _name_in(kind, text)
            if (kind, name) in found:
                raise Misconfigured(
                    "workspace.twice", f"{file} and {found[kind, name][0]} both define the {kind} {name!r}"
                )
            found[kind, name] = (file, text)
    return found


def text_of(file: Path) -> str:
    """What stands in a workspace's file. Raises ``Misconfigured`` for one that is too large, or no UTF-8."""
    if file.stat().st_size > _FILE_SIZE_BYTES_MAX:
        raise Misconfigured("workspace.file_size", f"{file} is larger than {_FILE_SIZE_BYTES_MAX} bytes")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured("workspace.encoding", f"{file} is not UTF-8 (byte {error.start})") from error


def _from_environment(value: Any, without_secrets: bool) -> Any:
    if isinstance(value, dict):
        if set(value) == {"env"} and isinstance(value["env"], str):
            if without_secrets:
                return os.environ.get(value["env"], "")
            try:
                return os.environ[value["env"]]
            except KeyError as error:
                raise Misconfigured(
                    "settings.environment", f"it wants the environment variable {value['env']}, which is not set"
                ) from error
        return {key: _from_environment(inner, without_secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_from_environment(inner, without_secrets) for inner in value]
    return value


def _acts(folder: Path) -> dict[str, Act]:
    """The workspace's Python steps: every public async function of ``steps/*.py``, as ``file.function``."""
    acts: dict[str, Act] = {}
    for file in sorted(folder.glob("steps/*.py")):
        spec = importlib.util.spec_from_file_location(f"beckon_steps_{file.stem}", file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise Misconfigured("steps.broken", f"{file} can't be imported: {error!r}") from error
        for name, function in vars(module).items():
            if (
                not name.startswith("_")
                and inspect.iscoroutinefunction(function)
                and function.__module__ == module.__name__
            ):
                acts[f"{file.stem}.{name}"] = _act(function)
    return acts


def _act(function: Callable[..., Awaitable[Any]]) -> Act:
    async def act(arguments: Mapping[str, Any], workspace: str) -> Any:
        return await function(**arguments)

    return act
