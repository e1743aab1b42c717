"""Prototype: a URL that any PBX can ask, answered by hand on a page, or by a scripted state machine, faults among it.

It is for the days before there is a system to ask. Nothing of it is kept: questions wait in memory for as long as a PBX
would, and are gone with the server.
"""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.core.ids import fresh
from beckon.journeys.call_processing.dialect import Answering, Asked, Door, PbxRequest, Rendered
from beckon.journeys.call_processing.rehearsal import FAULTS, Machine, Rule, read_machine
from beckon.journeys.part import JourneyParts, Visit
from beckon.telephony.answers import read_answer
from beckon.web.bodies import read_body
from beckon.web.problems import problem

TOPIC = "journey:prototype"
PATH = "/console/calls/prototype"
#: How long a question waits for a hand, and how late a slow answer is: a PBX has given up by then.
HAND_S, SLOW_S = 20.0, 20.0
WAITING_MAX = 20
HISTORY_MAX = 30
SESSIONS_MAX = 200
_BODY_BYTES_MAX = 65_536
_MACHINE_CHARS_MAX = 50_000
MODES = {"hand": "I answer by hand", "machine": "The state machine answers", **FAULTS}

EXAMPLE = """\
# A courier types an order's number; order 4799 breaks on purpose.
start: known
states:
  known:
    - answer: { code: 1 }
      then: order
  order:
    - when: { digits: "4711" }
      answer: { phones: ["+3225550101"], hint: A courier calls about your order. }
    - when: { digits: "4799" }
      fault: slow
    - answer: { code: 2 }
"""


class Question(msgspec.Struct):
    """One question, and what became of it."""

    id: str
    dialect: str
    at_ms: int
    asked: Asked
    #: as it came: method, query and body.
    told: str
    answer: asyncio.Future[Rendered] | None = None
    #: what was answered, by whom.
    said: str = ""
    by: str = ""


class _Bench(msgspec.Struct):
    """One workspace's prototype."""

    mode: str = "hand"
    text: str = EXAMPLE
    machine: Machine = msgspec.field(default_factory=lambda: read_machine(EXAMPLE))
    waiting: OrderedDict[str, Question] = msgspec.field(default_factory=OrderedDict)
    history: list[Question] = msgspec.field(default_factory=list)
    #: session → the state in which the call stands
    states: OrderedDict[str, str] = msgspec.field(default_factory=OrderedDict)


class _Dead(Response):
    """An answer that is promised and never comes: whoever serves us closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})


class Prototype:
    """The URL and its page."""

    def __init__(
        self,
        parts: JourneyParts,
        dialects: Mapping[str, Answering],
        *,
        hand_s: float = HAND_S,
        slow_s: float = SLOW_S,
    ) -> None:
        self._parts = parts
        self._dialects = dialects
        self._hand_s = hand_s
        self._slow_s = slow_s
        self._benches: dict[str, _Bench] = {}

    def routes(self) -> Sequence[BaseRoute]:
        """Ahead of the pages of single calls, whose path would take these."""
        signed = self._parts.signed
        return [
            Route("/calls/prototype/{workspace}/{dialect}/{key}", self.asked, methods=["GET", "POST"]),
            Route(PATH, signed(self.show), methods=["GET"]),
            Route(f"{PATH}/answer", signed(self.answer), methods=["POST"]),
            Route(f"{PATH}/mode", signed(self.choose), methods=["POST"]),
        ]

    def url(self, workspace: str, dialect: str) -> str:
        """Where a PBX asks; who knows it may ask."""
        return f"{self._parts.address}/calls/prototype/{workspace}/{dialect}/{self._key(workspace)}"

    def _key(self, workspace: str) -> str:
        return hmac.new(self._parts.link_key, f"prototype:{workspace}".encode(), "sha256").hexdigest()[:32]

    def _bench(self, workspace: str) -> _Bench:
        return self._benches.setdefault(workspace, _Bench())

    # A PBX asks -------------------------------------------------------------------------------------------------------

    async def asked(self, request: Request) -> Response:
        """A question."""
        try:
            return await self._asked(request)
        except BeckonError as error:
            return problem(error)

    async def _asked(self, request: Request) -> Response:
        workspace, name, key = (str(request.path_params[part]) for part in ("workspace", "dialect", "key"))
        dialect = self._dialects.get(name)
        known = hmac.compare_digest(self._key(workspace).encode(), key.encode("utf-8", "replace"))
        if dialect is None or not known or self._parts.workspaces.get(workspace) is None:
            raise Refused("http.not_found", "there is nothing here")
        body = await read_body(request.receive, _BODY_BYTES_MAX)
        read = PbxRequest(
            method=request.method,
            url=f"{self._parts.address}{request.url.path}",
            query=str(request.url.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        bench = self._bench(workspace)
        question = Question(
            fresh("ask"), name, self._parts.clock.now_ms(), dialect.read(read), _as_told(read), by="the page"
        )
        try:
            return await self._answered(workspace, bench, question, dialect)
        finally:
            bench.waiting.pop(question.id, None)
            bench.history = [question, *bench.history][:HISTORY_MAX]
            self._tell(workspace)

    async def _answered(self, workspace: str, bench: _Bench, question: Question, dialect: Answering) -> Response:
        if bench.mode in FAULTS:
            return await self._broken(question, bench.mode)
        if bench.mode == "machine":
            rule = self._next(bench, question)
            question.by = "the machine"
            if rule.fault:
                return await self._broken(question, rule.fault)
            return _sent(self._rendered(workspace, question, dialect, rule.answer))
        if len(bench.waiting) >= WAITING_MAX:
            raise Unavailable("prototype.full", f"{WAITING_MAX} questions wait already")
        question.answer = asyncio.get_running_loop().create_future()
        bench.waiting[question.id] = question
        self._tell(workspace)
        try:
            async with asyncio.timeout(self._hand_s):
                return _sent(await question.answer)
        except TimeoutError:
            question.said, question.by = "nothing in time", "nobody"
            late = problem(Unavailable("call.unanswered", f"nobody has answered within {self._hand_s:g} s"))
            late.status_code = 504
            return late

    def _next(self, bench: _Bench, question: Question) -> Rule:
        session = question.asked.session
        rule, state = bench.machine.answer(bench.states.get(session, bench.machine.start), question.asked)
        bench.states[session] = state
        bench.states.move_to_end(session)
        if len(bench.states) > SESSIONS_MAX:
            bench.states.popitem(last=False)
        return rule

    async def _broken(self, question: Question, fault: str) -> Response:
        question.said = FAULTS[fault]
        if fault == "slow":
            await asyncio.sleep(self._slow_s)
            return Response(b"{}", media_type="application/json")
        if fault == "dead":
            return _Dead()
        if fault == "500":
            return Response(b"Internal Server Error", 500, media_type="text/plain")
        if fault == "wrong_json":
            return Response(b'{"returned_code": ', media_type="application/json")
        unknown = {
            "uis": (b'{"returned_code": 9999}', "application/json"),
            "jambonz": (b'[{"verb": "whistle"}]', "application/json"),
            "twiml": (b"<Response><Whistle/></Response>", "application/xml"),
        }
        body, media = unknown.get(question.dialect, (b"{}", "application/json"))
        return Response(body, media_type=media)

    def _rendered(self, workspace: str, question: Question, dialect: Answering, answer: Mapping[str, Any]) -> Rendered:
        """An answer in the PBX's words, kept for the page. Raises ``Refused`` or ``Unsupported``."""
        door = Door(self.url(workspace, question.dialect))
        rendered = dialect.render(read_answer(answer), question.asked, door)
        question.said = rendered.body.decode("utf-8", "replace")[:2_000]
        return rendered

    def _tell(self, workspace: str) -> None:
        self._parts.hub.nudge(workspace, TOPIC)

    # The page ---------------------------------------------------------------------------------------------------------

    async def show(self, visit: Visit, why: str = "", status: int = 200) -> Response:
        """What waits, what was answered, and how."""
        bench = self._bench(visit.workspace)
        return await visit.show(
            "call_processing/prototype.html",
            http_status=status,
            title="Prototype",
            topics=(TOPIC,),
            urls={name: self.url(visit.workspace, name) for name in self._dialects},
            mode=bench.mode,
            modes=MODES,
            machine=bench.text,
            waiting=list(bench.waiting.values()),
            history=bench.history,
            why=why,
        )

    async def choose(self, visit: Visit) -> Response:
        """Who answers from now on, and by which machine."""
        bench = self._bench(visit.workspace)
        mode, text = await visit.field("mode"), await visit.field("machine")
        if mode not in MODES:
            raise Refused("prototype.mode", "There is no such way to answer.", field="mode")
        if len(text) > _MACHINE_CHARS_MAX:
            raise Refused("rehearsal.form", f"A machine has {_MACHINE_CHARS_MAX} characters at most.", field="machine")
        if text.strip():
            try:
                bench.machine = read_machine(text)
            except Refused as error:
                return await self.show(visit, error.why, 422)
            bench.text = text
            bench.states.clear()
        bench.mode = mode
        self._tell(visit.workspace)
        return _back()

    async def answer(self, visit: Visit) -> Response:
        """Somebody answers a question by hand."""
        bench = self._bench(visit.workspace)
        question = bench.waiting.get(await visit.field("question"))
        if question is None or question.answer is None or question.answer.done():
            raise Refused("prototype.gone", "This question does not wait any more.")
        fault = await visit.field("fault")
        try:
            if fault:
                if fault not in FAULTS:
                    raise Refused("prototype.fault", "There is no such fault.", field="fault")
                answer = _fault_by_hand(fault, question)
            else:
                dialect = self._dialects[question.dialect]
                answer = self._rendered(visit.workspace, question, dialect, await _of_form(visit))
        except BeckonError as error:
            # Still time to say it better.
            return await self.show(visit, error.why, 422)
        question.by = visit.session.person.name
        question.answer.set_result(answer)
        return _back()


def _fault_by_hand(fault: str, question: Question) -> Rendered:
    question.said = FAULTS[fault]
    if fault == "500":
        return Rendered(b"Internal Server Error", "text/plain", 500)
    if fault == "wrong_json":
        return Rendered(b'{"returned_code": ', "application/json")
    if fault == "unknown_code":
        return Rendered(b'{"returned_code": 9999}', "application/json")
    raise Refused("prototype.fault", f"{FAULTS[fault].partition(':')[0]}: choose it for all questions instead.")


async def _of_form(visit: Visit) -> dict[str, Any]:
    """An answer from the form's fields; those that are empty say nothing."""
    raw = (await visit.field("raw")).strip()
    if raw:
        try:
            answer = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refused("call.answer", f"That is no JSON: {str(error)[:120]}", field="raw") from None
        if not isinstance(answer, dict):
            raise Refused("call.answer", "An answer is an object.", field="raw")
        return answer
    fields = {
        name: (await visit.field(name)).strip() for name in ("say", "phones", "hint", "code", "gather", "hang_up")
    }
    answer = {name: value for name, value in fields.items() if value}
    if "phones" in answer:
        answer["phones"] = [number for number in answer["phones"].replace(";", ",").split(",") if number.strip()]
    if "gather" in answer:
        answer["gather"] = {"max": answer["gather"]}
    if await visit.field("record") == "yes":
        answer["record"] = True
    return answer


def _as_told(read: PbxRequest) -> str:
    told = (f"?{read.query[:2_000]}" if read.query else "", read.body.decode("utf-8", "replace")[:2_000])
    return f"{read.method} " + "\n".join(one for one in told if one)


def _sent(rendered: Rendered) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(rendered.body, rendered.status, media_type=rendered.content_type, headers=headers)


def _back() -> Response:
    return RedirectResponse(PATH, 303, headers={"Cache-Control": "no-store"})
