"""Runs: the list, and one run as its flow's diagram with the path it took, its history and what it waits for."""

from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from beckon.doors.console import reading, words
from beckon.doors.console.gate import Visit, gather
from beckon.flows.run import FINAL, Run, Taken, decode_run
from beckon.inbox.reading import contact_names
from beckon.web.pictures import for_both


class Stop(msgspec.Struct, frozen=True):
    """One line of a run's timeline."""

    taken: Taken
    #: how long after the line before, in ms.
    after_ms: int


async def show_list(visit: Visit) -> Response:
    """All runs, the newest first."""
    status, flow = visit.query("status", 20), visit.query("flow", 120)
    status = status if status in words.RUN else ""
    listed, flows = await gather(
        reading.runs(visit.reader, visit.workspace, status=status, flow=flow, after=visit.query("after", 120)),
        reading.definitions(visit.reader, visit.workspace, "flow"),
    )
    names = await contact_names(visit.reader, visit.workspace, (run.contact for run in listed.items))
    kept = {name: value for name, value in (("status", status), ("flow", flow)) if value}
    return await visit.show(
        "runs.html",
        title="Runs",
        topics=("runs",),
        listed=listed,
        names=names,
        chosen_status=status,
        flow=flow,
        flows=[one.name for one in flows],
        states=words.RUN,
        more="/console/runs?" + urlencode({**kept, "after": listed.next}) if listed.next else "",
    )


async def show(visit: Visit) -> Response:
    """One run."""
    id = visit.path("run")
    found = await reading.run_row(visit.reader, visit.workspace, id)
    if found is None:
        return await visit.missing("run")
    line, body = found
    run = decode_run(body)
    over = run.status in FINAL

    def draw(room: float) -> str | None:
        now = "" if over else run.pointer
        return visit.library.drawing(
            run.flow, run.version, run.history, now, ended=run.status == "done", failed=run.error, room=room
        )

    names = await contact_names(visit.reader, visit.workspace, (run.contact,))
    return await visit.show(
        "run.html",
        title=f"{run.flow}: {run.key}",
        topics=() if over else ("runs",),
        run=run,
        line=line,
        state=words.state(words.RUN, run.status),
        contact_name=names.get(run.contact, ""),
        drawing=for_both(draw),
        stops=stops(run),
        sentence=words.sentence,
        way_word=words.way_word,
        waits=[words.wait_words(run, wait, visit.now_ms, visit.library.time_zone) for wait in run.waiting],
        variables=_shown(run),
    )


def stops(run: Run) -> tuple[Stop, ...]:
    """The run's history as a timeline."""
    out: list[Stop] = []
    before = run.created_ms
    for taken in run.history:
        out.append(Stop(taken, max(0, taken.at_ms - before)))
        before = taken.at_ms
    return tuple(out)


def _shown(run: Run) -> dict[str, object]:
    return dict(list(run.variables.items())[:50])
