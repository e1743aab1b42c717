"""``DocumentSwitch``: ``Switch`` for vendors that ask by webhooks what to do: commands become documents.

Commands that come within a moment become one document. Where a webhook waits, that is its answer; where a document is
being followed already, the vendor is told of the new one. A document holds one playback, so that its end is known.
"""

import asyncio
import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.exchange import Reply, WebhookRequest
from beckon.telephony.document_legs import DocumentLeg, Playback, Taping
from beckon.telephony.documents import Document, Part, Press, Tape, Told, Vendor
from beckon.telephony.driver import Driver
from beckon.telephony.prompt_urls import audible, fetched
from beckon.telephony.switch import (
    DIGITS_MAX,
    KEYS,
    PROMPTS_MAX,
    By,
    Capabilities,
    Cause,
    File,
    KeyPressed,
    Keys,
    LegAnswered,
    LegEnded,
    LegOffered,
    LegRinging,
    Listener,
    PlaybackEnd,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
    Silence,
    SwitchUp,
    Tone,
)

log = logging.getLogger("beckon.calls")

#: Legs at once, and what waits on one of them.
LEGS_MAX = 2_000
QUEUE_MAX = 32
#: Commands that come within this time become one document.
SETTLE_S = 0.02
#: How long a webhook waits for commands: vendors give up after ten seconds or more.
ANSWER_S = 2.0
UNANSWERED_S = 8.0
#: After a leg's end, how long its recording is waited for.
TAPED_S = 60.0
#: How often a vendor is asked after legs of which nothing was heard.
WATCH_S = 60.0
#: How often, and after which pause, a document is told again.
_TRIES = 3
RETRY_S = 0.3
_STATUSES: dict[Cause, int] = {"busy": 486, "not_found": 404, "no_answer": 480}


class DocumentSwitch(Driver):
    """One account with one vendor."""

    def __init__(
        self,
        vendor: Vendor,
        clock: Clock,
        listener: Listener,
        capabilities: Capabilities,
        *,
        folder: str = "",
        answer_s: float = ANSWER_S,
        watch_s: float = WATCH_S,
    ) -> None:
        super().__init__(clock, listener)
        self.name = vendor.name
        self.capabilities = capabilities
        self._vendor = vendor
        self._folder = folder
        self._answer_s = answer_s
        self._watch_s = watch_s
        self._legs: dict[str, DocumentLeg] = {}
        self._by_call: dict[str, DocumentLeg] = {}
        self._bridges: dict[str, tuple[str, str]] = {}
        self._tapings: dict[str, Taping] = {}
        self._closing = False

    # Life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """See that the account lets us in. Raises ``Misconfigured`` where it doesn't."""
        try:
            await self._vendor.check()
            if self._folder:
                await asyncio.to_thread(Path(self._folder, "recordings").mkdir, parents=True, exist_ok=True)
        except Unavailable as error:
            raise Misconfigured(error.code, error.why) from error
        except OSError as error:
            raise Misconfigured(f"{self.name}.folder", f"the folder can't be used: {error.strerror}") from error
        self._soon(self._watch())
        self._say(SwitchUp(at_ms=self._now()))

    async def close(self) -> None:
        """End every leg, and go."""
        self._closing = True
        for leg in list(self._legs):
            with contextlib.suppress(BeckonError):
                await self.hang_up(leg)
        for left in list(self._legs.values()):
            self._ended(left, "switch_down", "switch", "the switch is closed")
        for taping in list(self._tapings.values()):
            self._taped(taping, "", 0.0, "the switch was closed before the recording was there")
        await asyncio.sleep(SETTLE_S)  # webhooks that wait are told the end
        await self._drop_tasks()
        await self._vendor.close()

    async def _watch(self) -> None:
        """Ask after legs that have been silent for long: a webhook may have been lost."""
        while True:
            await asyncio.sleep(self._watch_s)
            now_s = asyncio.get_running_loop().time()
            for leg in list(self._legs.values()):
                if leg.call and not leg.asks and now_s - leg.heard_from_s > self._watch_s:
                    leg.heard_from_s = now_s
                    if not await self._lives(leg):
                        self._ended(leg, "normal", "phone", "it was over when we asked")

    # What is commanded ------------------------------------------------------------------------------------------------

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """It rings until it is answered, whatever is said."""
        self._leg(leg)

    async def answer(self, leg: str) -> None:
        """Answer an offered leg: its next document does."""
        known = self._leg(leg)
        self._answered(known)
        self._changed(known)

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg."""
        known = self._leg(leg)
        if known.answered:
            await self.hang_up(leg, "declined")
            return
        known.turned_away = status
        self._ended(known, "declined", "command", "")

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play; a second playback waits for the first."""
        known = self._leg(leg)
        if known.joined or known.joins:
            raise Unsupported("call.bridged", f"{self.name} plays nothing into a bridge")
        if len(known.queue) >= QUEUE_MAX:
            raise Unavailable("call.queue_full", f"more than {QUEUE_MAX} prompts wait on a leg")
        known.queue.append(Playback(playback, self._audible(prompts), barge_in))
        self._changed(known)

    async def stop(self, playback: str) -> None:
        """End a playback."""
        for leg in self._legs.values():
            gone = leg.drop(playback)
            if gone is not None:
                self._played(leg, gone[0], "stopped")
                self._changed(leg, at_once=gone[1])
                return

    async def dial(
        self,
        leg: str,
        to: str,
        *,
        caller_id: str = "",
        caller_name: str = "",
        ring_s: float = 30.0,
        via: str = "",
        on_behalf_of: str = "",
    ) -> None:
        """Call a phone."""
        if len(self._legs) >= LEGS_MAX:
            raise Unavailable("call.switch_full", f"{LEGS_MAX} legs are the most at once")
        # Before the command: its webhooks may overtake its answer.
        made = self._legs[leg] = DocumentLeg(leg, "", came_in=False)
        made.heard_from_s = asyncio.get_running_loop().time()
        next_url, status_url = self._url(leg, "next"), self._url(leg, "status")
        try:
            call = await self._vendor.call(
                to,
                caller_id=caller_id,
                caller_name=caller_name,
                ring_s=ring_s,
                next_url=f"{next_url}&document=0",
                status_url=status_url,
            )
        except BaseException:
            self._legs.pop(leg, None)
            raise
        if made.ended and made.ended_by_us is not None:
            with contextlib.suppress(Refused):
                await self._vendor.end(call, answered=False)
        elif not made.ended:
            made.call = call
            self._by_call[call] = made

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Join two legs, once both are answered."""
        self._leg(leg)
        self._leg(other)
        self._bridges[bridge] = (leg, other)
        self._join(bridge)

    def _join(self, bridge: str) -> None:
        pair = [self._leg(one) for one in self._bridges[bridge]]
        if not all(one.answered for one in pair):
            return
        for leg in pair:
            self._silence(leg, "stopped")
            leg.waits = None
            leg.joins = bridge
            self._changed(leg, at_once=True)

    async def unbridge(self, bridge: str) -> None:
        """Part two legs; both stay with us."""
        self._apart(bridge)

    def _apart(self, bridge: str, but: str = "") -> None:
        """A bridge is over: its legs rest; ``but`` one, which asks already."""
        for one in self._bridges.pop(bridge, ()):
            leg = self._legs.get(one)
            if leg is not None and bridge in (leg.joins, leg.joined):
                leg.joins = leg.joined = ""
                if one != but and leg.waits is None:
                    self._changed(leg, at_once=True)

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting."""
        known = self._leg(leg)
        known.waits = self._audible(prompts) or (Silence(5_000),)
        self._changed(known, at_once=bool(known.joined))

    async def resume(self, leg: str) -> None:
        """It waits no longer; a bridge that it still has connects again."""
        known = self._leg(leg)
        if known.waits is None:
            return
        known.waits = None
        known.joins = next((bridge for bridge, pair in self._bridges.items() if leg in pair and known.joined), "")
        self._changed(known, at_once=True)

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a leg, both its ways; a bridge by its first leg."""
        if self.capabilities.recording == "none":
            raise Unsupported("call.unsupported", f"{self.name} records nothing")
        known = self._leg(self._bridges[of][0] if of in self._bridges else of)
        told_at = f"{self._vendor.hook_url}?what=recording&ours={quote(recording)}"
        taping = self._tapings[recording] = Taping(recording, known.id, known.call, self._now())
        if known.live and not known.changing and not known.asks:
            try:
                taping.vendor = await self._vendor.record(known.call, told_at, stereo=stereo)
            except BaseException:
                self._tapings.pop(recording, None)
                raise
        else:
            known.tapes.append(Tape(told_at))
            self._changed(known)
        if max_s:
            self._later(max_s, lambda: self.stop_recording(recording))

    async def stop_recording(self, recording: str) -> None:
        """Close a recording."""
        taping = self._tapings.get(recording)
        if taping is not None and taping.leg in self._legs:
            with contextlib.suppress(Refused):
                await self._vendor.stop_recording(taping.call, taping.vendor)

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys."""
        known = self._leg(leg)
        if not digits or len(digits) > DIGITS_MAX or any(digit not in KEYS for digit in digits):
            raise Refused(f"{self.name}.digits", "these are no keys of a phone")
        if known.joined or known.joins:
            raise Unsupported("call.bridged", f"{self.name} presses no keys in a bridge")
        known.queue.append(Press(digits))
        self._changed(known)

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg; one that has ended is no error."""
        known = self._legs.get(leg)
        if known is None:
            return
        known.ended_by_us = cause
        if known.came_in and not known.live:
            known.turned_away = 0 if known.answered else _STATUSES.get(cause, 603)
        elif known.call and not known.asks:
            with contextlib.suppress(Refused):
                await self._vendor.end(known.call, answered=known.answered)
        self._ended(known, cause, "command", "")

    def expect(self, leg: str, keys: Keys | None) -> None:
        """Say which keys a script wants from this leg."""
        known = self._legs.get(leg)
        if known is not None and known.keys != keys:
            known.keys = keys
            if keys is not None and not known.joined:
                self._changed(known)

    def _leg(self, leg: str) -> DocumentLeg:
        known = self._legs.get(leg)
        if known is None:
            raise Refused("call.leg_gone", "the leg has ended")
        return known

    def _audible(self, prompts: tuple[Prompt, ...]) -> tuple[Any, ...]:
        for prompt in prompts:
            kind = {File: "file", Tone: "tone", Silence: "silence"}.get(type(prompt), "say")
            if kind not in self.capabilities.prompts:
                raise Unsupported("call.unsupported", f"{self.name} plays no {kind}")
        return tuple(audible(one, self._vendor.hook_url, self._vendor.secret) for one in prompts[:PROMPTS_MAX])

    def _url(self, leg: str, what: str) -> str:
        return f"{self._vendor.hook_url}?what={what}&ours={quote(leg)}"

    # Documents --------------------------------------------------------------------------------------------------------

    def _changed(self, leg: DocumentLeg, *, at_once: bool = False) -> None:
        """Something is to stand in its next document; ``at_once``: what it follows now is over."""
        leg.wake.set()
        if leg.live and not leg.asks and not leg.changing and (at_once or leg.playing is None):
            leg.changing = True
            self._soon(self._change(leg))

    async def _change(self, leg: DocumentLeg) -> None:
        """Let it follow another document from now on."""
        await asyncio.sleep(SETTLE_S)
        leg.changing = False
        if leg.ended or leg.asks:
            return
        if self._vendor.fetches:
            leg.document += 1
            leg.inside = False
            leg.wake.set()  # what is fetched is there
            url = f"{self._url(leg.id, 'next')}&document={leg.document}"
            document = Document(next_url=url)
        else:
            document = leg.compose(self._url(leg.id, "next"), self._now())
        why = ""
        for _ in range(_TRIES):
            try:
                await self._vendor.change(leg.call, document)
                return
            except BeckonError as error:
                why = error.why
                if error.code == "call.leg_gone" and not await self._lives(leg):
                    self._ended(leg, "normal", "phone", "it was over when we told it something")
                    return
                if not isinstance(error, Unavailable) and error.code != "call.leg_gone":
                    break
            await asyncio.sleep(RETRY_S)
        if leg.id not in self._legs:
            return
        log.warning("%s did not take a document: %s", self.name, why)
        if leg.inside or leg.joins:
            self._ended(leg, "failed", "switch", why)  # the other one would talk to nobody
        for playback in leg.silence():
            self._played(leg, playback, "failed", why)

    async def _lives(self, leg: DocumentLeg) -> bool:
        """Whether it is there all the same: a call that was just answered may be refused as one that is over."""
        try:
            return await self._vendor.lives(leg.call)
        except BeckonError:
            return True

    async def asked(self, request: WebhookRequest) -> Reply:
        """Answer one webhook."""
        if request.method == "GET":
            body, media = await asyncio.to_thread(fetched, request.query, self._vendor.secret)
            return Reply(200, {"content-type": media, "cache-control": "private, max-age=3600"}, body)
        told = self._vendor.read(request, self._now())
        if told.what == "recording":
            await self._recorded(told)
            return self._vendor.taken()
        leg = self._legs.get(told.ours) if told.ours else self._by_call.get(told.call)
        if leg is not None:
            leg.heard_from_s = asyncio.get_running_loop().time()
        if leg is not None and told.state == "ended":
            why, by_us = told.why, leg.ended_by_us
            self._ended(leg, by_us or told.cause, "command" if by_us else "phone", why, told.status)
            leg = None
        if told.what == "status" or told.state == "ended":
            if leg is not None:
                self._stands(leg, told)
            return self._vendor.taken()
        if leg is None and told.what == "call" and not self._closing and len(self._legs) < LEGS_MAX:
            leg = self._offered(told)
        if leg is None:
            return self._vendor.render(Document(pieces=(Part(),)))
        return await self._asks(leg, told)

    async def _asks(self, leg: DocumentLeg, told: Told) -> Reply:
        if told.what == "next" and told.document != leg.document:
            # It follows another document already: this one's answer is not waited for, but its keys were pressed.
            self._went(leg, told)
            return self._vendor.render(leg.rest(self._url(leg.id, "next")))
        leg.asks += 1
        try:
            if told.what == "next":
                self._went(leg, told)
            if not leg.wake.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._answer_s if leg.answered else UNANSWERED_S):
                        await leg.wake.wait()
            await asyncio.sleep(SETTLE_S)
        finally:
            leg.asks -= 1
        return self._vendor.render(leg.compose(self._url(leg.id, "next"), self._now()))

    # What is heard ----------------------------------------------------------------------------------------------------

    def _offered(self, told: Told) -> DocumentLeg:
        leg = self._legs[told.call] = self._by_call[told.call] = DocumentLeg(told.call, told.call, came_in=True)
        leg.heard_from_s = asyncio.get_running_loop().time()
        offered = LegOffered(
            leg=leg.id, at_ms=self._now(), caller=told.caller, called=told.called, source=self.name, call_id=told.call
        )
        self._say(offered)
        return leg

    def _stands(self, leg: DocumentLeg, told: Told) -> None:
        if told.call and not leg.call:
            leg.call = told.call
            self._by_call[told.call] = leg
        if told.state == "ringing" and not leg.ringing and not leg.answered:
            leg.ringing = True
            if not leg.came_in:
                self._say(LegRinging(leg=leg.id, at_ms=self._now()))
        elif told.state == "answered" and not leg.came_in and not leg.answered:
            self._answered(leg)

    def _went(self, leg: DocumentLeg, told: Told) -> None:
        """A document has ended, or keys interrupted it."""
        if told.call and not leg.call:
            leg.call = told.call
            self._by_call[told.call] = leg
        if not leg.came_in and not leg.answered:
            self._answered(leg)
        current = told.document == leg.document
        for key in told.keys:
            if key in KEYS:
                self._say(KeyPressed(leg=leg.id, at_ms=self._now(), key=key, by="rfc4733"))
                if current and leg.playing is not None and leg.playing.barge_in:
                    self._silence(leg, "key")
        if current and leg.playing is not None:
            playing, leg.playing = leg.playing, None
            self._played(leg, playing, "done")
        if current and leg.inside:
            self._apart(leg.joined, leg.id)

    def _answered(self, leg: DocumentLeg) -> None:
        leg.answered = True
        self._say(LegAnswered(leg=leg.id, at_ms=self._now()))
        for bridge, pair in list(self._bridges.items()):
            if leg.id in pair and not leg.joins and not leg.joined:
                self._join(bridge)

    def _silence(self, leg: DocumentLeg, end: PlaybackEnd) -> None:
        for playback in leg.silence():
            self._played(leg, playback, end)

    def _played(self, leg: DocumentLeg, playback: Playback, end: PlaybackEnd, why: str = "") -> None:
        now_ms = self._now()
        played_ms = max(0, now_ms - playback.began_ms) if playback.began_ms else 0
        self._say(
            PlaybackEnded(playback=playback.id, leg=leg.id, at_ms=now_ms, end=end, played_ms=played_ms, why=why[:200])
        )

    def _ended(self, leg: DocumentLeg, cause: Cause, by: By, why: str, status: int = 0) -> None:
        if leg.ended:
            return
        leg.ended = True
        self._legs.pop(leg.id, None)
        self._by_call.pop(leg.call, None)
        self._silence(leg, "leg_ended")
        for bridge, pair in list(self._bridges.items()):
            if leg.id in pair:
                self._apart(bridge)
        for taping in list(self._tapings.values()):
            if taping.leg == leg.id and leg.tapes:
                self._taped(taping, "", 0.0, "the leg ended before it began")
            elif taping.leg == leg.id:
                self._later(TAPED_S, partial(self._miss, taping))
        self._say(LegEnded(leg=leg.id, at_ms=self._now(), cause=cause, by=by, status=status, why=why[:200]))
        leg.wake.set()

    async def _recorded(self, told: Told) -> None:
        taping = self._tapings.get(told.ours)
        if taping is None:
            return
        taping.vendor = taping.vendor or told.recording
        if not told.closed:
            return
        if told.failed:
            self._taped(taping, "", 0.0, "nothing was recorded")
        else:
            self._soon(self._fetch(taping, told.seconds))

    async def _fetch(self, taping: Taping, seconds: float) -> None:
        path = str(Path(self._folder, "recordings", f"{taping.id}.wav")) if self._folder else ""
        why = ""
        try:
            path = await self._vendor.fetch(taping.vendor, path)
        except BeckonError as error:
            path, why = "", error.why
            with contextlib.suppress(BeckonError):
                path = await self._vendor.fetch(taping.vendor, "")
        self._taped(taping, path, seconds, why)

    async def _miss(self, taping: Taping) -> None:
        self._taped(taping, "", 0.0, f"{self.name} never told of the recording")

    def _taped(self, taping: Taping, path: str, seconds: float, why: str) -> None:
        if self._tapings.pop(taping.id, None) is not None:
            self._say(RecordingEnded(recording=taping.id, at_ms=self._now(), path=path, seconds=seconds, why=why[:200]))

    # ------------------------------------------------------------------------------------------------------------------
