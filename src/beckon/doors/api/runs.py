"""``/v1/runs``: what the flows do and did."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.doors.api import lists
from beckon.doors.api.acts import repeated, say
from beckon.doors.api.paging import ContactWanted, Limit, Name, PageKey
from beckon.doors.api.parts import Ask, Operation, Page
from beckon.doors.api.pictures import picture
from beckon.doors.api.shapes import RunDetail, RunShown, show_run
from beckon.flows.diagram import draw_run
from beckon.flows.run import FINAL, Run
from beckon.store.changes import Row


class RunsQuery(msgspec.Struct, frozen=True):
    """Which runs; without anything, all."""

    status: Literal["", "running", "waiting", "done", "stopped", "failed"] = ""
    flow: Name = ""
    contact: ContactWanted = ""
    after: PageKey = ""
    limit: Limit = 50


class Stopping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why a run is stopped."""

    reason: Annotated[str, Meta(max_length=200)] = ""


async def list_runs(ask: Ask[RunsQuery, None]) -> Page[RunShown]:
    """Runs, the newest first."""
    query = ask.query
    wanted = {"status": query.status, "flow": query.flow, "contact": query.contact}
    page = await lists.runs(
        ask.parts.reader,
        ask.workspace,
        equal={column: value for column, value in wanted.items() if value},
        after=query.after,
        limit=query.limit,
    )
    return Page([_line(row) for row in page.items], page.next)


async def read_run(ask: Ask[object, object]) -> RunDetail:
    """One run with its history."""
    return show_run(await _known(ask))


async def stop_run(ask: Ask[None, Stopping | None]) -> RunDetail:
    """End a run where it stands: its messages that wait for their hour are called off."""
    run = await _known(ask)
    reason = ask.body.reason.strip() if ask.body is not None else ""
    if run.status in FINAL and not await repeated(ask):
        raise Refused("run.state", f"the run is over: it is {run.status}")
    await say(ask, "run.stop_asked", run.contact or None, {"run": run.id, "reason": reason})
    return await read_run(ask)


async def draw(ask: Ask[None, None]) -> Response:
    """The run as its flow's diagram: the path it took and where it stands."""
    run = await _known(ask)
    await ask.library.keep(run.flow, run.version, ask.parts.reader)
    flow = ask.library.flow(run.flow, run.version)
    if flow is None:
        raise Refused("flow.not_found", "this version of the flow is not known any more")
    return picture(draw_run(flow, run))


async def _known(ask: Ask[object, object]) -> Run:
    found = await lists.run(ask.parts.reader, ask.workspace, ask.path["run"])
    if found is None:
        raise Refused("run.not_found", "there is no such run")
    return found


def _line(row: Row) -> RunShown:
    return RunShown(
        id=str(row[0]),
        flow=str(row[1]),
        version=str(row[2]),
        key=str(row[3]),
        contact=str(row[4]) or None,
        status=str(row[5]),  # type: ignore[arg-type]
        created=iso(int(row[6] or 0)),
        changed=iso(int(row[7] or 0)),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/runs",
        name="list_runs",
        tag="Runs",
        summary="List runs, the newest first",
        scope="read",
        act=list_runs,
        query=RunsQuery,
        answer=Page[RunShown],
    ),
    Operation(
        method="GET",
        path="/v1/runs/{run}",
        name="read_run",
        tag="Runs",
        summary="One run: its history, what it waits for, what it remembers",
        scope="read",
        act=read_run,
        answer=RunDetail,
    ),
    Operation(
        method="POST",
        path="/v1/runs/{run}/stop",
        name="stop_run",
        tag="Runs",
        summary="End a run where it stands",
        words="Its messages that wait for their hour are called off. A run that is over can't be stopped (409).",
        scope="write",
        act=stop_run,
        body=Stopping,
        body_optional=True,
        answer=RunDetail,
        refusals=(409,),
    ),
    Operation(
        method="GET",
        path="/v1/runs/{run}/diagram.svg",
        name="draw_run",
        tag="Runs",
        summary="A run as its flow's diagram, with the path it took",
        scope="read",
        act=draw,
        answer=str,
        media="image/svg+xml",
    ),
)
