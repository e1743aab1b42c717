"""Messages: one is handed over to its provider, and what comes of that."""

import asyncio
import logging
from typing import Any

import msgspec

from beckon.carrier.choosing import Ready
from beckon.carrier.gates import Gates
from beckon.carrier.outcomes import Outcomes
from beckon.core.clock import Clock
from beckon.core.delivery import Choice, Delivery
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.message import Handed, Outbound
from beckon.outbox.queue import Item
from beckon.outbox.retry import Policy, Retry, decide

log = logging.getLogger("beckon.carrier")

#: The longest id of a provider that is kept.
_ID_MAX = 1_024

_plain = msgspec.to_builtins


class Messages:
    """Hands messages over."""

    def __init__(self, clock: Clock, gates: Gates, outcomes: Outcomes, address: str) -> None:
        self._clock = clock
        self._gates = gates
        self._outcomes = outcomes
        self._address = address

    async def carry(self, ready: Ready) -> None:
        """Hand one over, and say what came of it."""
        item, delivery, choice = ready.item, ready.delivery, ready.choice
        outbound = Outbound(
            delivery_id=item.id,
            attempt=item.attempt + 1,
            to=ready.to,
            rendered=ready.rendered,
            purpose="marketing" if delivery.purpose == "marketing" else "transactional",
            # Signed requests carry an instant: that of the clock which governs everything.
            extras={
                "address": self._address,
                "workspace": item.workspace,
                "now_ms": self._clock.now_ms(),
                **({"unsubscribe": ready.stop_url} if ready.stop_url else {}),
            },
        )
        try:
            handed = await ready.library.channels[choice.channel].send(outbound)
        except BeckonError as error:
            await self._not_handed(ready, error)
            return
        except Exception as error:
            log.exception("the channel %s failed in a way that it may not", choice.provider)
            await self._not_handed(
                ready, Unavailable("channel.defect", f"the channel failed: {type(error).__name__}", doubtful=True)
            )
            return
        finally:
            self._gates.leave(ready.key)
        self._gates.worked(ready.key)
        fields = self._fields(ready)
        fields["provider_id"] = _id_of(handed)
        if ready.also:
            fields |= await self._also(ready, outbound)
        self._outcomes.say(item, "message.sent", fields)

    async def _also(self, ready: Ready, outbound: Outbound) -> dict[str, Any]:
        """The same to the contact's other devices, once each: what came of them, for the outcome of the first.

        The message has arrived somewhere: what fails here is noted and not tried again, but a device that is gone is
        told apart, so that nobody sends to it any more.
        """
        channel = ready.library.channels[ready.choice.channel]
        ends = await asyncio.gather(
            *[channel.send(msgspec.structs.replace(outbound, to=to)) for to in ready.also], return_exceptions=True
        )
        reached, gone, failed = 1, [], []
        for to, end in zip(ready.also, ends, strict=True):
            if isinstance(end, Refused) and end.gone:
                gone.append({"to": to, "why": end.why})
            elif isinstance(end, BeckonError):
                failed.append(end.why)
            elif isinstance(end, Exception):
                log.error("the channel %s failed in a way that it may not", ready.choice.provider, exc_info=end)
                failed.append(f"the channel failed: {type(end).__name__}")
            elif isinstance(end, BaseException):
                raise end
            else:
                reached += 1
        said: dict[str, Any] = {"devices": reached}
        if gone:
            said["devices_gone"] = gone
        if failed:
            said["devices_failed"] = failed
        return said

    def undeliverable(self, item: Item, delivery: Delivery, choice: Choice, code: str) -> None:
        """No channel is left, or the message can't be said at all."""
        command = item.command
        fields = {
            "delivery": item.id,
            "run": command.run,
            "command": command.id,
            "choice": _plain(choice),
            "passed_over": _plain(choice.passed_over),
            "code": code,
            "why": choice.reason,
            "text": delivery.text,
        }
        # A fallback that finds no further channel leaves the message on its way by the one before.
        kept = delivery.state == "sent"
        self._outcomes.say(item, "message.not_forwarded" if kept else "message.undeliverable", fields)

    async def _not_handed(self, ready: Ready, error: BeckonError) -> None:
        item = ready.item
        settings = ready.library.settings
        fields = self._fields(ready)
        fields |= {"kind": error.kind, "code": error.code, "why": error.why}
        if isinstance(error, Unavailable):
            fields["doubtful"] = error.doubtful
            self._gates.failed(ready.key, error)
        elif isinstance(error, Misconfigured):
            log.error("%s needs the operator: %s", ready.choice.provider, error)
        elif isinstance(error, Refused) and error.gone:
            fields["gone"] = ready.to
        policy = Policy(attempts_max=settings.attempts_max, first_delay_ms=settings.first_delay_ms)
        decision = decide(policy, error, item.attempt + 1, self._clock.now_ms())
        if isinstance(decision, Retry):
            fields["retry_at_ms"] = decision.at_ms
            event = self._outcomes.event(item, "message.retrying", fields, str(item.attempt + 1))
            try:
                await self._outcomes.retry(item, decision.at_ms, [event])
            except BeckonError as unkept:
                # What the channel said can't be kept: that it failed is.
                self._outcomes.say(
                    item, "message.failed", {**self._fields(ready), "code": unkept.code, "why": unkept.why}
                )
        else:
            fields["why"] = decision.reason
            self._outcomes.say(item, "message.failed", fields)

    def _fields(self, ready: Ready) -> dict[str, Any]:
        item, command = ready.item, ready.item.command
        fields = {
            "delivery": item.id,
            "run": command.run,
            "command": command.id,
            "attempt": item.attempt + 1,
            "channel": ready.choice.channel,
            "provider": ready.choice.provider,
            "choice": _plain(ready.choice),
            "text": ready.rendered.text,
        }
        if ready.rendered.subject and ready.rendered.subject != ready.library.settings.name:
            # For the team: the words over the text; where it has none of its own, the sender's name stands there.
            fields["subject"] = ready.rendered.subject
        if ready.rendered.buttons:
            # For the team's view: what there is to tap.
            fields["buttons"] = _plain(ready.rendered.buttons)
        return fields


def _id_of(handed: Handed) -> str:
    """The provider's id; a channel from elsewhere may give anything, and the message is handed over all the same."""
    id_ = getattr(handed, "provider_id", None)
    if type(id_) is str and len(id_) <= _ID_MAX and id_.isprintable():
        return id_
    log.error("the channel gave no id that can be kept: the message will have no receipts")
    return ""
