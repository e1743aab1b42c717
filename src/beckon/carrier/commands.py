"""Commands that are no messages: calls of the web, and acts by name."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from beckon.carrier.outcomes import Outcomes, defect
from beckon.core.clock import Clock
from beckon.core.command import Call, Http
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.journeys.part import Called, JourneyAct
from beckon.outbox.queue import Item
from beckon.outbox.retry import Policy, Retry, decide
from beckon.providers.provider import retry_after_s
from beckon.workspaces import Workspaces

log = logging.getLogger("beckon.carrier")


class Commands:
    """Carries out ``http:`` and ``call:`` steps."""

    def __init__(
        self, clock: Clock, workspaces: Workspaces, outcomes: Outcomes, acts: Mapping[str, JourneyAct]
    ) -> None:
        self._clock = clock
        self._workspaces = workspaces
        self._outcomes = outcomes
        self._acts = acts

    async def carry(self, item: Item) -> None:
        """Carry one out, and say what came of it."""
        command = item.command
        try:
            if isinstance(command, Http):
                fields = await self._http(command, item)
                type_ = "http.completed"
            elif isinstance(command, Call):
                fields = {"result": await self._call(command)}
                type_ = "call.completed"
            else:
                return
        except Exception as caught:
            error = caught if isinstance(caught, BeckonError) else defect(caught, item)
            library = self._workspaces.get(item.workspace)
            attempts = command.attempts_max if isinstance(command, Http) else 5
            first = library.settings.first_delay_ms if library is not None else 2_000
            decision = decide(Policy(attempts, first), error, item.attempt + 1, self._clock.now_ms())
            if isinstance(decision, Retry):
                await self._outcomes.retry(item, decision.at_ms, [])
            else:
                self.failed(item, error, decision.reason)
            return
        fields |= {"run": command.run, "command": command.id}
        self._outcomes.say(item, type_, fields)

    def failed(self, item: Item, error: BeckonError, why: str = "") -> None:
        """A command that isn't a message came to nothing."""
        command = item.command
        fields = {"kind": error.kind, "code": error.code, "why": why or error.why}
        fields |= {"run": command.run, "command": command.id}
        self._outcomes.say(item, "http.failed" if isinstance(command, Http) else "call.failed", fields)

    async def _http(self, command: Http, item: Item) -> dict[str, Any]:
        library = self._workspaces.get(item.workspace)
        if library is None:
            raise Refused("http.workspace", "the workspace is gone")
        headers = {"User-Agent": "Beckon", "Idempotency-Key": command.id, **command.headers}
        if command.secret:
            headers["Authorization"] = library.secret(command.secret)
        body = b""
        if command.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = msgspec.json.encode(command.body)
        reply = await library.outside.request(
            command.method, command.url, headers=headers, body=body, timeout_s=command.timeout_ms / 1000
        )
        if reply.status == 429 or reply.status >= 500:
            raise Unavailable(
                "http.status", f"the answer is {reply.status}", retry_after_s=retry_after_s(reply.headers)
            )
        if reply.status >= 400:
            raise Refused("http.status", f"the answer is {reply.status}")
        return {"status": reply.status, "body": _kept(reply.body)}

    async def _call(self, command: Call) -> Any:
        library = self._workspaces.get(command.workspace)
        act = self._acts.get(command.act)
        step = library.acts.get(command.act) if library is not None else None
        if act is not None:
            doing = act(Called(command.workspace, command.arguments, command.id))
        elif step is not None:
            doing = step(command.arguments, command.workspace)
        else:
            raise Misconfigured("call.act", f"there is no act named {command.act!r}")
        try:
            result = await asyncio.wait_for(doing, 60)
            msgspec.json.encode(result)  # what can't be kept is the act's failure, not the outcome's loss
            return result
        except TimeoutError as error:
            raise Unavailable("call.timeout", f"{command.act} took longer than 60 s", doubtful=True) from error
        except BeckonError:
            raise
        except Exception as error:
            log.exception("the act %s failed", command.act)
            raise Refused("call.failed", f"{command.act} failed: {type(error).__name__}") from error


def _kept(body: bytes) -> Any:
    """An answer's JSON; where it is none, or says what we can't keep, its beginning as text."""
    try:
        answer = msgspec.json.decode(body) if body else None
        msgspec.json.encode(answer)
        return answer
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        return body[:65_536].decode("utf-8", "replace")
