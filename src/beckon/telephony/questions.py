"""Questions: how an ask step's question reaches whoever decides, within its time, and what can be wrong with that.

Nothing here raises for what the other side does: every way of failing is an ``Unanswered`` with its code and reason.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.core.event import Json
from beckon.core.exchange import Reply
from beckon.telephony.answers import read_answer
from beckon.telephony.asking import Replied, Unanswered
from beckon.telephony.instructions import Instruction
from beckon.telephony.orders import Ask

log = logging.getLogger("beckon.calls")

#: The longest answer that is read.
ANSWER_SIZE_BYTES_MAX = 65_536
#: The header with which we sign: ``t=<seconds>,v1=<HMAC-SHA256 of "t.method.url.body" in hex>``.
SIGNATURE_HEADER = "Beckon-Signature"


class Written(msgspec.Struct, frozen=True):
    """A question as it goes over the wire."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""


class Dialect(Protocol):
    """How one vendor's PBX asks, and how it is answered."""

    name: str

    def write(self, ask: Ask) -> Written:
        """The request. Raises ``Refused`` for what the dialect can't tell."""
        ...

    def read(self, body: bytes) -> tuple[tuple[Instruction, ...], dict[str, object]]:
        """The instructions, and what else the answer says. Raises ``Refused`` for what is none."""
        ...


class Outside(Protocol):
    """Outbound HTTP, as ``app`` hands it in. Raises ``Unavailable`` for the network, ``Refused`` for a URL."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        connect_s: float = 0.0,
    ) -> Reply: ...


#: Our own flows: (question, workspace) → their answer in plain words; None: none answered in time.
Ours = Callable[[Ask, str], Awaitable[Json]]
#: (workspace, a secret's name) → its value. Raises ``Misconfigured``.
Secret = Callable[[str, str], str]


class Questions:
    """Asks for all calls."""

    def __init__(
        self, clock: Clock, outside: Outside, dialects: Mapping[str, Dialect], ours: Ours, secret: Secret
    ) -> None:
        self._clock = clock
        self._outside = outside
        self._dialects = dialects
        self._ours = ours
        self._secret = secret

    async def ask(self, ask: Ask, workspace: str) -> Replied | Unanswered:
        """Ask, as often as the step says; each try within the step's time."""
        failure = Unanswered(ask.ask, "ask.timeout", "no answer came in time")
        for _ in range(max(1, ask.tries)):
            try:
                async with asyncio.timeout(ask.timeout_ms / 1_000):
                    if ask.url == "flow":
                        return await self._ask_ours(ask, workspace)
                    return await self._ask_outside(ask, workspace)
            except TimeoutError:
                failure = Unanswered(ask.ask, "ask.timeout", f"no answer within {ask.timeout_ms / 1_000:g} s")
            except Unavailable as error:
                code = "ask.timeout" if error.code == "http.timeout" else error.code.replace("http.", "ask.", 1)
                failure = Unanswered(ask.ask, code, error.why)
            except BeckonError as error:
                return Unanswered(ask.ask, error.code.replace("http.", "ask.", 1), error.why)
            except Exception:
                log.exception("asking failed by a defect")
                return Unanswered(ask.ask, "ask.defect", "asking failed by a fault of ours; see the log")
        return failure

    async def _ask_ours(self, ask: Ask, workspace: str) -> Replied | Unanswered:
        answer = await self._ours(ask, workspace)
        if answer is None:
            raise TimeoutError
        if not isinstance(answer, dict):
            raise Refused("ask.bad_answer", "the flow's answer is no object")
        return Replied(ask.ask, read_answer(answer), _texts(answer))

    async def _ask_outside(self, ask: Ask, workspace: str) -> Replied:
        dialect = self._dialects.get(ask.dialect)
        if dialect is None:
            raise Refused("ask.unknown_dialect", f"nobody here speaks {ask.dialect!r}")
        written = dialect.write(ask)
        headers = {"User-Agent": "Beckon", "Accept": "application/json", **written.headers}
        if ask.secret:
            headers[SIGNATURE_HEADER] = sign(
                self._secret(workspace, ask.secret), self._clock.now_ms() // 1_000, written
            )
        reply = await self._outside.request(
            written.method,
            written.url,
            headers=headers,
            body=written.body,
            timeout_s=ask.timeout_ms / 1_000,
            connect_s=ask.connect_ms / 1_000,
        )
        if reply.status != 200:
            raise Unavailable("ask.status", f"the answer is {reply.status}")
        if len(reply.body) > ANSWER_SIZE_BYTES_MAX:
            raise Refused("ask.bad_answer", f"the answer is larger than {ANSWER_SIZE_BYTES_MAX // 1024} KiB")
        instructions, others = dialect.read(reply.body)
        return Replied(ask.ask, instructions, others)


def sign(secret: str, at_s: int, written: Written) -> str:
    """The header that proves that we ask: whoever is asked checks it with the same secret."""
    signed = b".".join((str(at_s).encode(), written.method.encode(), written.url.encode(), written.body))
    return f"t={at_s},v1={hmac.new(secret.encode(), signed, 'sha256').hexdigest()}"


def _texts(answer: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in answer.items() if isinstance(value, str | int | float | bool)}
