"""Asking: how doors, pages and flows change something: an event, decided by its turn, answered from there."""

from hashlib import blake2b
from typing import Any

import msgspec

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.event import Event
from beckon.core.ids import fresh
from beckon.journeys.part import JourneyParts

#: How long an answer may take, in seconds.
ANSWER_S = 15.0
REQUEST_ID_MAX = 200
#: An event that was accepted longer ago than this is turned, or the server stands still.
_UNDER_WAY_MS = 600_000
_KINDS: dict[str, type[BeckonError]] = {
    "refused": Refused,
    "unavailable": Unavailable,
    "unsupported": Unsupported,
    "misconfigured": Misconfigured,
}


class Asking:
    """Asks the turn."""

    def __init__(self, parts: JourneyParts, answer_s: float = ANSWER_S) -> None:
        self._parts = parts
        self._answer_s = answer_s

    async def ask(
        self,
        workspace: str,
        type_: str,
        given: Any,
        *,
        source: str,
        id: str = "",
        subject: str | None = None,
        part: int = 0,
        big: bool = False,
    ) -> dict[str, Any]:
        """What the turn answers to ``given``, one of ``asked.ASKED``.

        ``id``: the request's: what was asked under it before, by the same source, has the answer of its first time.
        ``part``: which part of that request it is; ``big``: it is a piece of big work.
        Raises what the turn refused it with; ``Refused`` where the id came before with other words.
        """
        if len(id) > REQUEST_ID_MAX:
            raise Refused("request.id", f"a request's id has {REQUEST_ID_MAX} characters at most", field="request_id")
        event = Event(
            workspace=workspace,
            source=f"loyalty/{source}",
            id=(f"{type_[8:]}:{id}" + (f":{part}" if part else "")) if id else fresh("ask"),
            type=type_,
            time_ms=0,
            data=given,
            subject=subject,
            big=big,
        )
        answer = await self._parts.ask(event, self._answer_s)
        # An empty one was forgotten with whom it was about.
        if answer == {} or (not isinstance(answer, dict) and await self._long_ago(event)):
            why = "this request came before, and its answer is kept no longer: what it did then stands"
            raise Refused("request.done_before", why, field="request_id")
        if not isinstance(answer, dict):
            raise Unavailable("loyalty.no_answer", "there was no answer in time; ask again with the same request id")
        if id and answer.get("mark", "") != given.mark:
            raise Refused("request.other", "this request id came before with other words", field="request_id")
        error = answer.get("error")
        if error is not None:
            raise _KINDS.get(error["kind"], Refused)(error["code"], error["why"], field=error["field"])
        return answer

    async def _long_ago(self, event: Event) -> bool:
        """Whether the request came before, so that no answer is under way any more."""
        rows = await self._parts.reader.fetch(
            "SELECT accepted_ms FROM journal WHERE workspace = ? AND source = ? AND id = ?",
            (event.workspace, event.source, event.id),
        )
        return bool(rows) and int(rows[0][0] or 0) < self._parts.clock.now_ms() - _UNDER_WAY_MS


def mark_of(given: Any) -> str:
    """What a request says, digested: the same id must say the same again."""
    return blake2b(msgspec.json.encode(given), digest_size=8).hexdigest()
