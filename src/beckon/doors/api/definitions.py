"""``/v1/definitions``: flows, scripts, templates, mappings, schemas, settings, journeys' own: read and uploaded."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from beckon.core.clock import iso
from beckon.core.errors import Misconfigured, Refused
from beckon.core.problems import Problems
from beckon.doors.api import lists
from beckon.doors.api.acts import say
from beckon.doors.api.paging import Limit, NameKey, PageKey
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.pictures import picture
from beckon.doors.api.shapes import (
    Checked,
    DefinitionShown,
    DefinitionTaken,
    DefinitionText,
    Kind,
    ProblemShown,
    show_problem,
)
from beckon.flows.check import check, check_text
from beckon.flows.definition import parse_flow
from beckon.flows.diagram import draw
from beckon.flows.schema import flow_schema
from beckon.intake.mappings import parse_mapping
from beckon.intake.schemas import Schema
from beckon.messaging.templates import parse_template
from beckon.store.changes import Row
from beckon.telephony import script_check
from beckon.telephony.script_drawing import draw as draw_call_script
from beckon.telephony.script_reading import parse_script
from beckon.telephony.script_schema import script_schema
from beckon.workspaces import Library, parse_settings, script_facts, version_of

#: Problems that one answer tells of.
_PROBLEMS_MAX = 100
#: A definition's text, in characters.
TEXT_MAX = 131_072

VersionWanted = Annotated[str, Meta(pattern=r"^[0-9a-zA-Z_.-]{0,64}$", description="empty: the current one")]


class DefinitionsQuery(msgspec.Struct, frozen=True):
    """Which definitions; without a kind, all."""

    kind: Literal[
        "", "flow", "template", "mapping", "schema", "script", "settings", "programme", "offer", "campaign"
    ] = ""
    after: NameKey = ""
    limit: Limit = 50


class VersionsQuery(msgspec.Struct, frozen=True):
    """Which page of versions."""

    after: PageKey = ""
    limit: Limit = 50


class VersionQuery(msgspec.Struct, frozen=True):
    """Which version."""

    version: VersionWanted = ""


class NotTaken(Refused):
    """A definition with errors; ``problems`` says all of them."""

    def __init__(self, problems: Sequence[ProblemShown]) -> None:
        first = next(one for one in problems if one.severity == "error")
        super().__init__("definition.problems", f"line {first.line}: {first.why}", field=first.path or None)
        self.problems = list(problems[:_PROBLEMS_MAX])


async def list_definitions(ask: Ask[DefinitionsQuery, None]) -> Page[DefinitionShown]:
    """The current definitions, by kind and name."""
    query = ask.query
    page = await lists.definitions(
        ask.parts.reader, ask.workspace, kind=query.kind, after=query.after, limit=query.limit
    )
    return Page([_shown(row) for row in page.items], page.next)


async def read_definition(ask: Ask[VersionQuery, None]) -> DefinitionText:
    """One version with its text."""
    return _with_text(await _known(ask, ask.query.version))


async def list_versions(ask: Ask[VersionsQuery, None]) -> Page[DefinitionShown]:
    """A definition's versions, the newest first."""
    await _known(ask, "", any_version=True)
    kind, name = ask.path["kind"], ask.path["name"]
    query = ask.query
    page = await lists.versions(ask.parts.reader, ask.workspace, kind, name, after=query.after, limit=query.limit)
    return Page([_shown(row) for row in page.items], page.next)


async def upload(ask: Ask[None, str]) -> tuple[int, DefinitionTaken]:
    """Take a definition: checked first, current from then on; runs keep the version that they began with."""
    kind, name, text = ask.path["kind"], ask.path["name"], ask.body
    problems = await asyncio.to_thread(_checked, ask, kind, name, text)
    if any(problem.severity == "error" for problem in problems):
        raise NotTaken(problems)
    version = version_of(kind, text)
    before = await lists.definition(ask.parts.reader, ask.workspace, kind, name, "")
    if before is None or before[2] != version:
        fields = {"kind": kind, "name": name, "version": version, "text": text}
        await say(ask, "definition.uploaded", None, fields)
    taken = _with_text(await _known(ask, version))
    answer = DefinitionTaken(**msgspec.structs.asdict(taken), problems=problems)
    return (200 if before is not None else 201), answer


async def check_flow(ask: Ask[None, str]) -> Checked:
    """What is wrong with a flow in this workspace, found without running it."""
    _short_enough(ask.body)
    found = await asyncio.to_thread(check_text, ask.body, ask.parts.facts(ask.library))
    problems = [show_problem(problem) for problem in found[:_PROBLEMS_MAX]]
    return Checked(ok=not any(problem.severity == "error" for problem in problems), problems=problems)


async def draw_flow(ask: Ask[VersionQuery, None]) -> Response:
    """A flow as a diagram."""
    ask = msgspec.structs.replace(ask, path={"kind": "flow", **ask.path})
    row = await _known(ask, ask.query.version)
    return picture(draw(parse_flow(str(row[6]))))


async def check_script(ask: Ask[None, str]) -> Checked:
    """What is wrong with a call script in this workspace, found without a call."""
    _short_enough(ask.body)
    found = await asyncio.to_thread(script_check.check_text, ask.body, script_facts(ask.library))
    problems = [show_problem(problem) for problem in found[:_PROBLEMS_MAX]]
    return Checked(ok=not any(problem.severity == "error" for problem in problems), problems=problems)


async def draw_script(ask: Ask[VersionQuery, None]) -> Response:
    """A call script as a diagram."""
    ask = msgspec.structs.replace(ask, path={"kind": "script", **ask.path})
    row = await _known(ask, ask.query.version)
    return picture(draw_call_script(parse_script(str(row[6]))))


async def read_script_schema(ask: Ask[None, None]) -> Response:
    """The language of call scripts as JSON Schema."""
    return Response(msgspec.json.encode(script_schema()), media_type="application/schema+json")


async def read_flow_schema(ask: Ask[None, None]) -> Response:
    """The flow language as JSON Schema."""
    return Response(msgspec.json.encode(flow_schema()), media_type="application/schema+json")


def _checked(ask: Ask[Any, str], kind: str, name: str, text: str) -> list[ProblemShown]:
    """Everything that is wrong with a text of this kind. Raises ``Refused`` where it has another name than said."""
    _short_enough(text)
    try:
        if kind == "flow":
            flow = parse_flow(text)
            _same_name(flow.name, name)
            return [show_problem(problem) for problem in check(flow, ask.parts.facts(ask.library))]
        if kind == "template":
            _same_name(parse_template(text).name, name)
        elif kind == "mapping":
            _same_name(parse_mapping(text).name, name)
        elif kind == "script":
            script = parse_script(text)
            _same_name(script.name, name)
            return [show_problem(problem) for problem in script_check.check(script, script_facts(ask.library))]
        elif kind == "settings":
            _same_name("workspace", name)
            parse_settings(text, ask.library.of_folder)
        elif kind in ask.library.kinds:
            of_journey = ask.library.kinds[kind]
            _same_name(of_journey.name_of(of_journey.parse(text)), name)
        elif kind != "schema":
            raise Refused("definition.kind", f"nothing here defines a {kind}", field="kind")
        else:
            _check_schema(ask.library, name, text)
    except Problems as error:
        return [show_problem(problem) for problem in error.problems]
    except Misconfigured as error:
        # What the operator would have to mend in a file is, in a request, the asker's to mend.
        raise Refused(error.code, error.why, field=error.field) from error
    return []


def _short_enough(text: str) -> None:
    if len(text) > TEXT_MAX:
        raise Refused("definition.too_large", f"a definition has {TEXT_MAX} characters at most")


def _check_schema(library: Library, name: str, text: str) -> None:
    if name.startswith(library.own_types):
        raise Refused("event.type_reserved", f"only Beckon itself says {name}", field="name")
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused("schema.syntax", f"the schema is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refused("schema.broken", "a JSON Schema is an object here")
    Schema(name, document)


def _same_name(inside: str, name: str) -> None:
    if inside != name:
        raise Refused("definition.name", f"the text defines {inside[:100]!r}, the address says {name!r}", field="name")


async def _known(ask: Ask[Any, Any], version: str, *, any_version: bool = False) -> Row:
    row = await lists.definition(ask.parts.reader, ask.workspace, ask.path["kind"], ask.path["name"], version)
    if row is None and any_version:
        page = await lists.versions(
            ask.parts.reader, ask.workspace, ask.path["kind"], ask.path["name"], after="", limit=1
        )
        row = page.items[0] if page.items else None
    if row is None:
        raise Refused("definition.not_found", f"there is no such {ask.path['kind']}")
    return row


def _shown(row: Row) -> DefinitionShown:
    return DefinitionShown(
        kind=_kind(row[0]),
        name=str(row[1]),
        version=str(row[2]),
        origin="api" if row[3] == "api" else "folder",
        current=row[4] == 1,
        created=iso(int(row[5] or 0)),
    )


def _with_text(row: Row) -> DefinitionText:
    return DefinitionText(**msgspec.structs.asdict(_shown(row)), text=str(row[6]))


def _kind(value: Any) -> Kind:
    return value  # type: ignore[no-any-return]


_ONE = "/v1/definitions/{kind}/{name}"

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/definitions",
        name="list_definitions",
        tag="Definitions",
        summary="List the current flows, call scripts, templates, mappings, schemas and uploaded settings",
        scope="read",
        act=list_definitions,
        query=DefinitionsQuery,
        answer=Page[DefinitionShown],
    ),
    Operation(
        method="GET",
        path=_ONE,
        name="read_definition",
        tag="Definitions",
        summary="One definition with its text",
        scope="read",
        act=read_definition,
        query=VersionQuery,
        answer=DefinitionText,
    ),
    Operation(
        method="PUT",
        path=_ONE,
        name="upload",
        tag="Definitions",
        summary="Upload a definition: checked, then current at once",
        words="Runs keep the version that they began with. What is wrong is refused with the line of each problem; "
        "warnings come with the answer. The same text again changes nothing. Settings have the name `workspace` and go "
        "over those of the folder.",
        scope="definitions",
        act=upload,
        body=str,
        answer=DefinitionTaken,
        status_too=201,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/versions",
        name="list_versions",
        tag="Definitions",
        summary="The versions of a definition, the newest first",
        scope="read",
        act=list_versions,
        query=VersionsQuery,
        answer=Page[DefinitionShown],
    ),
    Operation(
        method="GET",
        path="/v1/flows/{name}/diagram.svg",
        name="draw_flow",
        tag="Definitions",
        summary="A flow as a diagram",
        scope="read",
        act=draw_flow,
        query=VersionQuery,
        answer=str,
        media="image/svg+xml",
    ),
    Operation(
        method="POST",
        path="/v1/flows/check",
        name="check_flow",
        tag="Definitions",
        summary="Find what is wrong with a flow, without running or keeping it",
        scope="read",
        act=check_flow,
        body=str,
        answer=Checked,
    ),
    Operation(
        method="GET",
        path="/v1/scripts/{name}/diagram.svg",
        name="draw_script",
        tag="Definitions",
        summary="A call script as a diagram",
        scope="read",
        act=draw_script,
        query=VersionQuery,
        answer=str,
        media="image/svg+xml",
    ),
    Operation(
        method="POST",
        path="/v1/scripts/check",
        name="check_script",
        tag="Definitions",
        summary="Find what is wrong with a call script, without calling or keeping it",
        scope="read",
        act=check_script,
        body=str,
        answer=Checked,
    ),
    Operation(
        method="GET",
        path="/v1/call.schema.json",
        name="read_script_schema",
        tag="Definitions",
        summary="The language of call scripts as JSON Schema, for editors",
        scope="read",
        act=read_script_schema,
        answer=dict[str, Any],
        media="application/schema+json",
    ),
    Operation(
        method="GET",
        path="/v1/flow.schema.json",
        name="read_flow_schema",
        tag="Definitions",
        summary="The flow language as JSON Schema, for editors",
        scope="read",
        act=read_flow_schema,
        answer=dict[str, Any],
        media="application/schema+json",
    ),
)
