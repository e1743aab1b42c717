"""``/calls/{workspace}/{dialect}/{secret}``: a PBX asks what to do with a call; a flow on ``call.asked`` answers.

Nothing is told to whom the secret in the URL is not known. If no flow answers in time the door says so (504), and the
PBX takes its backup, as it does for every answer that is none.
"""

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.journeys.call_processing.asked import asked_event
from beckon.journeys.call_processing.dialect import Answering, Asked, Door, PbxRequest
from beckon.journeys.part import JourneyParts
from beckon.settings import PbxSettings
from beckon.telephony.answers import read_answer
from beckon.telephony.instructions import Instruction, Speak, checked
from beckon.telephony.script_forms import NAME
from beckon.telephony.switch import File, Say
from beckon.web.bodies import read_body
from beckon.web.problems import problem
from beckon.workspaces import Library

log = logging.getLogger("beckon.calls")

#: How long a flow may take: a PBX gives up after five seconds, and the way takes some.
ANSWER_S = 4.0
_SIZE_BYTES_MAX = 65_536
_SECRET_CHARS_MIN = 16

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(parts: JourneyParts, dialects: dict[str, Answering]) -> Sequence[BaseRoute]:
    """The routes of all PBXs."""
    door = _PbxDoor(parts, dialects)
    path = "/calls/{workspace}/{dialect}/{secret}"
    return [
        Route(path, _said(door.asked), methods=["GET", "POST"]),
        Route(f"{path}/hint", _said(door.hint), methods=["GET", "POST"]),
        Route(f"{path}/prompts/{{file:path}}", _said(door.prompt), methods=["GET"]),
    ]


def _said(endpoint: Endpoint) -> Endpoint:
    """What is wrong is said as problem details, whatever the dialect: a PBX reads the status only."""

    async def saying(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BeckonError as error:
            # No number, no name: only what kind of thing was wrong.
            log.warning("a PBX's request was not answered: %s", error.code)
            return problem(error)

    return saying


class _Account(msgspec.Struct, frozen=True):
    """Who asks: a workspace's PBX, with its dialect."""

    library: Library
    settings: PbxSettings
    dialect: Answering
    door: Door


class _PbxDoor:
    def __init__(self, parts: JourneyParts, dialects: dict[str, Answering]) -> None:
        self._parts = parts
        self._dialects = dialects

    async def asked(self, request: Request) -> Response:
        """A PBX asks what to do."""
        account = self._account(request)
        asked = account.dialect.read(await self._read(request, account))
        answer = await self._parts.ask(
            asked_event(account.library, asked, account.dialect.name, self._parts.clock.now_ms()), ANSWER_S
        )
        if answer is None:
            late = problem(Unavailable("call.unanswered", f"no flow has answered within {ANSWER_S:g} s"))
            late.status_code = 504
            log.warning("no flow has answered a call in time")
            return late
        try:
            if not isinstance(answer, dict):
                raise Refused("call.answer", "a call is answered with an object")
            return self._rendered(account, read_answer(answer), asked)
        except BeckonError as error:
            # The flow's fault, and not the PBX's: it takes its backup.
            log.warning("a flow's answer can't be given: %s: %s", error.code, error.why)
            wrong = problem(error)
            wrong.status_code = 502
            return wrong

    async def hint(self, request: Request) -> Response:
        """What a callee is told before the two are connected: it stands in the URL that we gave."""
        account = self._account(request)
        await self._read(request, account)
        locale = request.query_params.get("locale", "")
        spoken: list[Instruction] = [
            Speak(prompt=Say(text, locale) if name == "say" else File(text))
            for name, text in request.query_params.multi_items()
            if name in ("say", "play")
        ]
        return self._rendered(account, checked(spoken), Asked(call="", session="", caller="", called=""))

    async def prompt(self, request: Request) -> Response:
        """A recorded prompt of the workspace, for a PBX elsewhere."""
        account = self._account(request)
        name = str(request.path_params["file"])
        file = account.library.folder / "prompts" / name
        if not NAME.fullmatch(name) or ".." in name or not file.is_file():
            raise Refused("http.not_found", "there is no such prompt")
        return FileResponse(file)

    def _account(self, request: Request) -> _Account:
        """Whose PBX this is. Whoever doesn't know the secret is told that there is nothing here."""
        workspace, name, secret = (str(request.path_params[part]) for part in ("workspace", "dialect", "secret"))
        library = self._parts.workspaces.get(workspace)
        settings = library.settings.pbx.get(name) if library is not None else None
        dialect = self._dialects.get(name)
        known = settings.secret if settings is not None else ""
        fits = hmac.compare_digest(known.encode(), secret.encode("utf-8", "replace"))
        if library is None or settings is None or dialect is None or not fits or len(known) < _SECRET_CHARS_MIN:
            raise Refused("http.not_found", "there is nothing here")
        if settings.addresses and not _is_among(request, settings.addresses):
            raise Refused("http.not_found", "there is nothing here")
        door = Door(f"{self._parts.address}/calls/{workspace}/{name}/{secret}")
        return _Account(library, settings, dialect, door)

    async def _read(self, request: Request, account: _Account) -> PbxRequest:
        query = str(request.url.query)
        # As the PBX knows it: proxies may have changed host and scheme on the way.
        url = f"{self._parts.address}{request.url.path}" + (f"?{query}" if query else "")
        read = PbxRequest(
            method=request.method,
            url=url,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await read_body(request.receive, _SIZE_BYTES_MAX),
        )
        account.dialect.verify(read, account.settings.sign, self._parts.clock.now_ms() // 1_000)
        return read

    def _rendered(self, account: _Account, instructions: tuple[Instruction, ...], asked: Asked) -> Response:
        rendered = account.dialect.render(instructions, asked, account.door)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(rendered.body, rendered.status, media_type=rendered.content_type, headers=headers)


def _is_among(request: Request, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
