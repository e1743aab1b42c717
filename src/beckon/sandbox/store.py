"""The store: the system that the switch asks about its couriers, over a wire that can be made to fail.

It asks the line's own door for PBXs, as a store that uses Beckon would; so both sides of the question are real, and
only the wire between them is pretended.
"""

import asyncio
from typing import ClassVar

from starlette.types import Receive, Scope, Send

from beckon.core.errors import BeckonError
from beckon.core.exchange import Connections
from beckon.web.bodies import read_body

COURIERS = (
    {"phone": "+32470000001", "id": "C-1", "name": "Bo", "orders": "4711"},
    {"phone": "+32470000002", "id": "C-2", "name": "Cy", "orders": ""},
)
ORDERS = (
    {"number": "4711", "courier": "C-1", "name": "Ann", "phone": "+3225550101"},
    {"number": "4800", "courier": "C-9", "name": "Dee", "phone": "+3225550109"},
)
#: A courier, one without an order, and somebody whom nobody knows.
BO, CY, STRANGER = "+32470000001", "+32470000002", "+32470009999"
STORE, ANN, RECEPTION, DISPATCHER = "+3221234567", "+3225550101", "+3232000000", "+3232000001"

#: What may be wrong with the store's system, for people.
FAULTS = {
    "well": "Works",
    "slow": "Is slow",
    "dead": "Hangs up on us",
    "500": "Answers 500",
    "wrong_json": "Answers no JSON",
    "unknown_code": "Answers an unknown code",
}
_BODY_BYTES_MAX = 65_536
_SLOW_S = 30.0


class Store:
    """The store's system. ``behind``: the door that answers; ``fault``: what is wrong with it now."""

    faults: ClassVar[dict[str, str]] = FAULTS

    def __init__(self, connections: Connections, behind: str) -> None:
        self._connections = connections
        self._behind = behind
        self.fault = "well"
        #: what was asked last, and answered.
        self.asked = ""
        self.answered = ""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One question."""
        body = await read_body(receive, _BODY_BYTES_MAX)
        query = scope.get("query_string", b"").decode("ascii", "replace")
        self.asked = body.decode("utf-8", "replace") or query
        self.answered = FAULTS[self.fault]
        if self.fault == "dead":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            return
        if self.fault == "slow" and await _gave_up(receive):
            return
        status, answer = 200, b"{}"
        if self.fault == "500":
            status, answer = 500, b"Internal Server Error"
        elif self.fault == "wrong_json":
            answer = b'{"returned_code": '
        elif self.fault == "unknown_code":
            answer = b'{"returned_code": 9999}'
        elif self.fault == "well":
            status, answer = await self._ask(scope["method"], query, body)
        self.answered = f"{status} {answer.decode('utf-8', 'replace')}"[:1_000]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _ask(self, method: str, query: str, body: bytes) -> tuple[int, bytes]:
        try:
            reply = await self._connections.request(
                method,
                self._behind + (f"?{query}" if query else ""),
                headers={"content-type": "application/json"},
                body=body,
                timeout_s=10.0,
            )
        except BeckonError as error:
            return 502, error.why.encode()
        return reply.status, reply.body


async def _gave_up(receive: Receive) -> bool:
    """Whether the asker hung up within the time that a slow system takes."""
    try:
        async with asyncio.timeout(_SLOW_S):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True
