"""The team's pages: conversations, runs, deliveries, the event log, flows and templates.

``routes`` makes them from what ``app`` hands in (``ConsoleParts``). Pages read by SQL through ``Reader`` and write
nothing: each act is an event given to ``accept``. A page names the topics that make it look again; the stream says
only that something changed, and the page asks for itself once more.
"""

from starlette.responses import Response
from starlette.routing import Route

from beckon.doors.console import conversations, deliveries, doors, events, library, runs
from beckon.doors.console.gate import HOME, Visit, signed, to
from beckon.doors.console.parts import (
    ConsoleParts,
    FlowProblem,
    Library,
    Template,
    TemplatePreview,
)
from beckon.doors.console.pictures import drawing_css

__all__ = ["ConsoleParts", "FlowProblem", "Library", "Template", "TemplatePreview", "routes", "signed"]


def routes(parts: ConsoleParts) -> list[Route]:
    """Every route of the console; all but the sign-in want a signed-in person."""
    thread = "/console/conversations/{contact}"
    pages = {
        "/console": _home,
        "/console/": _home,
        "/console/live": doors.live,
        "/console/conversations": conversations.show_list,
        thread: conversations.show_thread,
        "/console/runs": runs.show_list,
        "/console/runs/{run}": runs.show,
        "/console/deliveries": deliveries.show_list,
        "/console/deliveries/{delivery}": deliveries.show,
        "/console/events": events.show_list,
        "/console/events/{position}": events.show,
        "/console/flows": library.show_flows,
        "/console/flows/{name}": library.show_flow,
        "/console/templates": library.show_templates,
        "/console/templates/{name}": library.show_template,
    }
    acts = {
        "/console/sign-out": doors.sign_out,
        f"{thread}/reply": conversations.reply,
        f"{thread}/note": conversations.note,
        f"{thread}/assign": conversations.assign,
        f"{thread}/close": conversations.close,
        f"{thread}/reopen": conversations.reopen,
        f"{thread}/read": conversations.read,
        f"{thread}/forget": conversations.forget,
        "/console/deliveries/{delivery}/resend": deliveries.resend,
    }
    return [
        Route("/console/drawing.css", drawing_css, methods=["GET"]),
        Route("/console/sign-in", doors.sign_in(parts), methods=["GET", "POST"]),
        *(Route(path, signed(parts, view), methods=["GET"]) for path, view in pages.items()),
        *(Route(path, signed(parts, view), methods=["POST"]) for path, view in acts.items()),
    ]


async def _home(visit: Visit) -> Response:
    return to(visit.request, HOME)
