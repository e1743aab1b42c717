"""Flows and templates: what the workspace can do, in the versions it has."""

from starlette.responses import Response

from beckon.doors.console import reading, words
from beckon.doors.console.gate import Visit, gather
from beckon.web.pictures import for_both

_LOCALES = ("en", "fr", "de", "nl-BE", "it", "es", "sv", "no")


async def show_flows(visit: Visit) -> Response:
    """All flows in their current versions."""
    flows = await reading.definitions(visit.reader, visit.workspace, "flow")
    problems = {flow.name: visit.library.problems(flow.name) for flow in flows}
    starts = {flow.name: visit.library.starts_on(flow.name) for flow in flows}
    return await visit.show("flows.html", title="Flows", flows=flows, problems=problems, starts=starts)


async def show_flow(visit: Visit) -> Response:
    """One flow: its diagram, its text, its versions, what is wrong with it."""
    name = visit.path("name")
    versions = await reading.versions(visit.reader, visit.workspace, "flow", name)
    if not versions:
        return await visit.missing("flow")
    current = next((one for one in versions if one.current), versions[0])
    wanted = visit.query("version", 80)
    chosen = next((one for one in versions if one.version == wanted), current)
    text = await reading.definition_text(visit.reader, visit.workspace, "flow", name, chosen.version)
    return await visit.show(
        "flow.html",
        title=name,
        flow_name=name,
        versions=versions,
        chosen=chosen,
        text=text or "",
        drawing=for_both(lambda room: visit.library.drawing(name, chosen.version, room=room)),
        problems=visit.library.problems(name) if chosen.current else (),
        starts=visit.library.starts_on(name),
    )


async def show_templates(visit: Visit) -> Response:
    """All templates, with what the providers say about them."""
    approvals, versions = await gather(
        reading.approvals(visit.reader, visit.workspace),
        reading.definitions(visit.reader, visit.workspace, "template"),
    )
    return await visit.show(
        "templates.html",
        title="Templates",
        templates=visit.library.templates(),
        approvals=_by_template(approvals),
        versions={one.name: one for one in versions},
        states=words.APPROVAL,
    )


async def show_template(visit: Visit) -> Response:
    """One template as every channel says it, in one locale."""
    name = visit.path("name")
    found = next((one for one in visit.library.templates() if one.name == name), None)
    if found is None:
        return await visit.missing("template")
    asked = visit.query("locale", 20)
    locale = asked if asked in found.locales else (found.locales[0] if found.locales else _LOCALES[0])
    approvals, versions = await gather(
        reading.approvals(visit.reader, visit.workspace),
        reading.versions(visit.reader, visit.workspace, "template", name),
    )
    return await visit.show(
        "template.html",
        title=name,
        template=found,
        locale=locale,
        previews=visit.library.previews(name, locale),
        approvals=_by_template(approvals).get(name, []),
        versions=versions,
        states=words.APPROVAL,
    )


def _by_template(approvals: tuple[reading.Approval, ...]) -> dict[str, list[reading.Approval]]:
    out: dict[str, list[reading.Approval]] = {}
    for one in approvals:
        out.setdefault(one.template, []).append(one)
    return out
