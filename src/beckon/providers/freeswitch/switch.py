"""``FreeSwitch``: a FreeSWITCH behind ``Switch``: one socket, events by channel, commands one after the other."""

import asyncio
import contextlib
import logging
from collections import deque

import msgspec

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.core.ids import fresh
from beckon.providers.freeswitch import words
from beckon.providers.freeswitch.settings import FreeSwitchSettings
from beckon.providers.freeswitch.wire import Block, Blocks, written
from beckon.telephony.driver import Driver
from beckon.telephony.switch import (
    KEYS,
    By,
    Capabilities,
    Cause,
    KeyPressed,
    LegAnswered,
    LegEnded,
    LegHeld,
    LegOffered,
    LegRinging,
    Listener,
    PlaybackEnd,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
    SwitchDown,
    SwitchUp,
)

log = logging.getLogger("beckon.freeswitch")

_COMMAND_S = 5.0
_CONNECT_S = 5.0
#: Between two tries to reach it again.
_PAUSE_S = 1.0


class _Playback(msgspec.Struct):
    """Prompts that a channel is to hear, one after the other."""

    id: str
    left: deque[Prompt]
    all: tuple[Prompt, ...]
    barge_in: bool
    #: heard over and over until it is ended.
    loops: bool = False
    began_ms: int = 0
    #: how it ends once the channel says that the prompt is over.
    ending: PlaybackEnd | None = None
    #: what the prompt under way is called.
    mark: str = ""


class _Leg(msgspec.Struct):
    """One channel."""

    id: str
    channel: str
    answered: bool = False
    #: an answer was ordered, and is told when it has come.
    told_answered: bool = False
    ringing: bool = False
    #: the cause with which we ended it.
    ended_by_us: Cause | None = None
    playing: deque[_Playback] = msgspec.field(default_factory=deque)
    #: recording → its path and when it began.
    recordings: dict[str, tuple[str, int]] = msgspec.field(default_factory=dict)


class FreeSwitch(Driver):
    """One FreeSWITCH."""

    name = "freeswitch"

    def __init__(
        self, settings: FreeSwitchSettings, clock: Clock, listener: Listener, capabilities: Capabilities
    ) -> None:
        super().__init__(clock, listener)
        self.capabilities = capabilities
        self._settings = settings
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._blocks = Blocks()
        #: what came with the greeting, and was not it
        self._early: list[Block] = []
        self._replies: deque[asyncio.Future[Block]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        #: by our id, and by theirs
        self._legs: dict[str, _Leg] = {}
        self._by_channel: dict[str, _Leg] = {}
        self._jobs: dict[str, str] = {}
        #: bridges: (leg, other); those that wait for an answer as well
        self._bridges: dict[str, tuple[str, str]] = {}
        self._unmade: set[str] = set()

    # Life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect. Raises ``Misconfigured`` where it can't."""
        try:
            await self._connect()
        except Unavailable as error:
            raise Misconfigured("freeswitch.unreachable", error.why) from error
        self._running = asyncio.create_task(self._run())
        self._say(SwitchUp(at_ms=self._now()))

    async def close(self) -> None:
        """End every leg, and go."""
        self._closing = True
        for leg in list(self._legs.values()):
            with contextlib.suppress(BeckonError):
                await self.hang_up(leg.id)
        for _ in range(50):
            if not self._legs:
                break
            await asyncio.sleep(0.02)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._lose("the switch is closed", down=False)
        await self._drop_tasks()

    async def _connect(self) -> None:
        settings = self._settings
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._reader, self._writer = await asyncio.open_connection(settings.host, settings.port)
                self._blocks, self._early = Blocks(), []
                await self._expect("auth/request")
                self._writer.write(written(f"auth {settings.password}"))
                if not (await self._expect("command/reply")).reply.startswith("+OK"):
                    raise Misconfigured("freeswitch.password", "FreeSWITCH does not take the password")
                self._writer.write(written(f"event json {words.EVENTS}"))
                await self._expect("command/reply")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._drop_socket()
            raise Unavailable("freeswitch.unreachable", f"{settings.host}:{settings.port} can't be reached") from error

    async def _expect(self, kind: str) -> Block:
        """The next block of this kind; what comes with it is kept."""
        assert self._reader is not None
        while True:
            for number, block in enumerate(self._early):
                if block.kind == kind:
                    del self._early[number]
                    return block
            received = await self._reader.read(65_536)
            if not received:
                raise asyncio.IncompleteReadError(b"", None)
            self._early += self._blocks.feed(received)

    async def _run(self) -> None:
        """Read what it says; where it is gone, say so and come back."""
        while not self._closing:
            try:
                await self._read()
            except (OSError, Refused) as error:
                log.warning("the event socket failed: %s", error)
            self._lose("the event socket is gone", down=not self._closing)
            while not self._closing:
                await asyncio.sleep(_PAUSE_S)
                try:
                    await self._connect()
                except BeckonError as error:
                    log.warning("FreeSWITCH is out of reach: %s", error.why)
                else:
                    self._say(SwitchUp(at_ms=self._now()))
                    break

    async def _read(self) -> None:
        assert self._reader is not None
        early, self._early = self._early, []
        if not all(self._take(block) for block in early):
            return
        while received := await self._reader.read(65_536):
            for block in self._blocks.feed(received):
                if not self._take(block):
                    return

    def _take(self, block: Block) -> bool:
        """What it says; False: goodbye."""
        if block.kind in ("command/reply", "api/response"):
            if self._replies:
                future = self._replies.popleft()
                if not future.done():
                    future.set_result(block)
        elif block.kind == "text/event-json":
            self._event(block.event())
        return block.kind != "text/disconnect-notice"

    def _lose(self, why: str, *, down: bool) -> None:
        """Nothing that was is any more."""
        self._drop_socket()
        for leg in list(self._legs.values()):
            self._ended(leg, "switch_down", "switch", why)
        if down:
            self._say(SwitchDown(at_ms=self._now(), why=why))

    def _drop_socket(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        while self._replies:
            future = self._replies.popleft()
            if not future.done():
                future.set_exception(Unavailable("freeswitch.gone", "the event socket is gone"))

    async def _command(self, command: str) -> str:
        """One command, and what it says to it. Raises ``Unavailable``, or ``Refused`` for ``-ERR``."""
        if self._writer is None:
            raise Unavailable("freeswitch.gone", "the event socket is gone")
        future: asyncio.Future[Block] = asyncio.get_running_loop().create_future()
        self._writer.write(written(command))
        self._replies.append(future)
        try:
            async with asyncio.timeout(_COMMAND_S):
                reply = (await future).reply
        except TimeoutError as error:
            raise Unavailable("freeswitch.slow", "FreeSWITCH did not answer in time", doubtful=True) from error
        if reply.startswith("-ERR"):
            code = "call.leg_gone" if "No such channel" in reply or "invalid session" in reply else "freeswitch.refused"
            raise Refused(code, f"FreeSWITCH refused: {reply[4:120].strip()}")
        return reply

    # What is commanded ------------------------------------------------------------------------------------------------

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """Let an offered leg ring."""
        await self._command(words.execute(self._leg(leg).channel, "pre_answer" if early_media else "ring_ready"))

    async def answer(self, leg: str) -> None:
        """Answer an offered leg; one that the dial plan has answered is told at once."""
        known = self._leg(leg)
        known.told_answered = True
        if known.answered:
            self._say(LegAnswered(leg=leg, at_ms=self._now()))
        else:
            await self._command(words.execute(known.channel, "answer"))

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg."""
        known = self._leg(leg)
        known.ended_by_us = "declined"
        await self._command(words.reject(known.channel, status))

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play, after what plays there already."""
        known = self._leg(leg)
        for prompt in prompts:
            words.prompt_argument(prompt, self._settings)
        await self._queue(known, _Playback(playback, deque(prompts), prompts, barge_in))

    async def stop(self, playback: str) -> None:
        """End a playback."""
        for leg in self._legs.values():
            for playing in leg.playing:
                if playing.id == playback:
                    await self._stop(leg, playing, "stopped")
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
        channel = words.channel_of(leg)
        job = words.channel_of(fresh("job"))
        command = words.originate(self._settings, channel, to, caller_id, caller_name, ring_s, job)
        known = _Leg(leg, channel, told_answered=True)
        # Before the command: its events may overtake its answer.
        self._legs[leg] = self._by_channel[channel] = known
        self._jobs[job] = leg
        try:
            await self._command(command)
        except BeckonError:
            self._forget(known)
            self._jobs.pop(job, None)
            raise

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Join two legs, once both are answered."""
        pair = (self._leg(leg), self._leg(other))
        self._bridges[bridge] = (leg, other)
        for known in pair:
            for playing in list(known.playing):
                await self._stop(known, playing, "stopped")
        if all(known.answered for known in pair):
            await self._join(bridge)
            return
        self._unmade.add(bridge)
        if ringback:
            tone = f"tone_stream://%(1000,4000,425);loops={600}"
            waiting = next((known for known in pair if known.answered), None)
            if waiting is not None:
                await self._command(words.execute(waiting.channel, "playback", tone))

    async def _join(self, bridge: str) -> None:
        self._unmade.discard(bridge)
        first, second = (self._leg(leg) for leg in self._bridges[bridge])
        for known in (first, second):
            await self._command(f"api uuid_setvar {known.channel} park_after_bridge true")
        await self._command(f"api uuid_break {first.channel} all")
        await self._command(f"api uuid_bridge {first.channel} {second.channel}")

    async def unbridge(self, bridge: str) -> None:
        """Part two legs; both are parked again."""
        pair = self._bridges.pop(bridge, None)
        self._unmade.discard(bridge)
        if pair is not None:
            for leg in pair:
                if leg in self._legs:
                    await self._command(f"api uuid_park {self._legs[leg].channel}")

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting."""
        known = self._leg(leg)
        if prompts:
            await self._queue(known, _Playback(f"hold-{leg}", deque(prompts), prompts, False, loops=True))

    async def resume(self, leg: str) -> None:
        """It waits no longer."""
        known = self._leg(leg)
        for playing in list(known.playing):
            if playing.loops:
                await self._stop(known, playing, "stopped")

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a leg, or a bridge by its first leg."""
        leg = self._bridges[of][0] if of in self._bridges else of
        known = self._leg(leg)
        path = f"{self._settings.recordings_folder}/{recording}.wav"
        if stereo:
            await self._command(f"api uuid_setvar {known.channel} RECORD_STEREO true")
        known.recordings[recording] = (path, self._now())
        limit = round(max_s) or self._settings.recording_s_max
        try:
            await self._command(f"api uuid_record {known.channel} start {path} {limit}")
        except BeckonError:
            known.recordings.pop(recording, None)
            raise

    async def stop_recording(self, recording: str) -> None:
        """Close a recording."""
        for leg in self._legs.values():
            if recording in leg.recordings:
                await self._command(f"api uuid_record {leg.channel} stop {leg.recordings[recording][0]}")

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys."""
        if not digits or any(digit not in KEYS for digit in digits):
            raise Refused("freeswitch.digits", "these are no keys of a phone")
        await self._command(f"api uuid_send_dtmf {self._leg(leg).channel} {digits}")

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg; one that has ended is no error."""
        known = self._legs.get(leg)
        if known is None:
            return
        known.ended_by_us = cause
        try:
            await self._command(words.kill(known.channel, cause))
        except Refused:
            self._ended(known, cause, "command", "")

    def _leg(self, leg: str) -> _Leg:
        known = self._legs.get(leg)
        if known is None:
            raise Refused("call.leg_gone", "the leg has ended")
        return known

    # Playing ----------------------------------------------------------------------------------------------------------

    async def _queue(self, leg: _Leg, playback: _Playback) -> None:
        leg.playing.append(playback)
        if leg.playing[0] is playback:
            try:
                await self._play_next(leg)
            except BeckonError:
                if playback in leg.playing:
                    leg.playing.remove(playback)
                raise

    async def _play_next(self, leg: _Leg) -> None:
        """The next prompt of what stands first there."""
        playing = leg.playing[0]
        if not playing.began_ms:
            playing.began_ms = self._now()
        app, argument = words.prompt_argument(playing.left.popleft(), self._settings)
        playing.mark = words.channel_of(fresh("play"))
        await self._command(words.execute(leg.channel, app, argument, playing.mark))

    async def _stop(self, leg: _Leg, playing: _Playback, end: PlaybackEnd) -> None:
        if leg.playing and leg.playing[0] is playing and playing.mark:
            if playing.ending is None:
                playing.ending = end
                with contextlib.suppress(Refused):
                    await self._command(f"api uuid_break {leg.channel} all")
        elif playing in leg.playing:
            leg.playing.remove(playing)
            self._say_played(leg, playing, end)

    def _prompt_over(self, leg: _Leg, mark: str, said: str) -> None:
        playing = leg.playing[0] if leg.playing else None
        if playing is None or playing.mark != mark:
            return
        playing.mark = ""
        if playing.ending is None and "NOT FOUND" in said.upper():
            playing.ending = "failed"
        if playing.ending is None and playing.loops and not playing.left:
            playing.left.extend(playing.all)
        if playing.ending is None and playing.left:
            self._soon(self._go_on(leg))
            return
        leg.playing.popleft()
        end = playing.ending or "done"
        self._say_played(leg, playing, end, said if end == "failed" else "")
        if end == "key":
            while leg.playing and not leg.playing[0].loops:
                self._say_played(leg, leg.playing.popleft(), "key")
        if leg.playing:
            self._soon(self._go_on(leg))

    async def _go_on(self, leg: _Leg) -> None:
        try:
            if leg.playing and leg.playing[0].left:
                await self._play_next(leg)
        except BeckonError as error:
            if leg.playing:
                self._say_played(leg, leg.playing.popleft(), "failed", error.why)

    def _say_played(self, leg: _Leg, playing: _Playback, end: PlaybackEnd, why: str = "") -> None:
        if playing.loops:
            return  # a waiting tone is no playback of anybody
        played_ms = max(0, self._now() - playing.began_ms) if playing.began_ms else 0
        self._say(
            PlaybackEnded(
                playback=playing.id, leg=leg.id, at_ms=self._now(), end=end, played_ms=played_ms, why=why[:200]
            )
        )

    # What is heard ----------------------------------------------------------------------------------------------------

    def _event(self, event: dict[str, str]) -> None:
        name = event.get("Event-Name", "")
        if name == "BACKGROUND_JOB":
            self._job(event)
            return
        channel = event.get("Unique-ID", "")
        leg = self._by_channel.get(channel)
        if leg is None:
            if name in ("CHANNEL_PARK", "CHANNEL_ANSWER") and event.get("Call-Direction", "inbound") == "inbound":
                self._arrived(channel, name, event)
            return
        if name == "CHANNEL_ANSWER":
            self._answered(leg)
        elif name == "CHANNEL_PARK" and leg.id not in self._legs:
            self._offer(leg, event)
        elif name in ("CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA") and not leg.ringing:
            leg.ringing = True
            self._say(LegRinging(leg=leg.id, at_ms=self._now(), early_media=name.endswith("MEDIA")))
        elif name in ("CHANNEL_HOLD", "CHANNEL_UNHOLD"):
            self._say(LegHeld(leg=leg.id, at_ms=self._now(), held=name == "CHANNEL_HOLD"))
        elif name == "DTMF":
            self._pressed(leg, event)
        elif name == "CHANNEL_EXECUTE_COMPLETE":
            self._prompt_over(leg, event.get("Application-UUID", ""), event.get("Application-Response", ""))
        elif name == "RECORD_STOP":
            self._recorded(leg, event)
        elif name == "CHANNEL_HANGUP_COMPLETE":
            word = event.get("Hangup-Cause", "")
            status = event.get("variable_sip_term_status", "")
            by: By = "command" if leg.ended_by_us is not None else "phone"
            cause = leg.ended_by_us if leg.ended_by_us is not None else words.cause_of(word)
            self._ended(leg, cause, by, word, int(status) if status.isdigit() and len(status) < 4 else 0)

    def _arrived(self, channel: str, name: str, event: dict[str, str]) -> None:
        """A call that came in: the dial plan may have answered it, and parks it for us."""
        leg = _Leg(channel, channel, answered=name == "CHANNEL_ANSWER" or event.get("Answer-State") == "answered")
        self._by_channel[channel] = leg
        if name == "CHANNEL_PARK":
            self._offer(leg, event)

    def _offer(self, leg: _Leg, event: dict[str, str]) -> None:
        self._legs[leg.id] = leg
        self._say(
            LegOffered(
                leg=leg.id,
                at_ms=self._now(),
                caller=_number(event.get("Caller-Caller-ID-Number", "")),
                called=_number(event.get("Caller-Destination-Number", "")),
                source=event.get("variable_sip_gateway_name", ""),
                call_id=event.get("variable_sip_call_id", "") or leg.channel,
            )
        )

    def _answered(self, leg: _Leg) -> None:
        if leg.answered:
            return
        leg.answered = True
        if leg.told_answered:
            self._say(LegAnswered(leg=leg.id, at_ms=self._now()))
        for bridge in list(self._unmade):
            pair = [self._legs.get(one) for one in self._bridges.get(bridge, ())]
            if leg in pair and all(one is not None and one.answered for one in pair):
                self._soon(self._join_late(bridge))

    async def _join_late(self, bridge: str) -> None:
        try:
            await self._join(bridge)
        except BeckonError as error:
            log.warning("two legs could not be joined: %s", error.code)

    def _pressed(self, leg: _Leg, event: dict[str, str]) -> None:
        key = event.get("DTMF-Digit", "")
        if len(key) != 1 or key not in KEYS:
            return
        source = event.get("DTMF-Source", "RTP")
        by = {"INBAND_AUDIO": "inband", "ENDPOINT": "info"}.get(source, "rfc4733")
        pressed = KeyPressed(leg=leg.id, at_ms=self._now(), key=key, by="rfc4733")
        self._say(msgspec.structs.replace(pressed, by=by))
        playing = leg.playing[0] if leg.playing else None
        if playing is not None and playing.barge_in and playing.ending is None:
            self._soon(self._stop(leg, playing, "key"))

    def _recorded(self, leg: _Leg, event: dict[str, str]) -> None:
        path = event.get("Record-File-Path", "")
        for recording, (known, began_ms) in list(leg.recordings.items()):
            if not path or path == known:
                del leg.recordings[recording]
                self._say_recorded(recording, known, began_ms, event.get("variable_record_ms", ""))
                return

    def _say_recorded(self, recording: str, path: str, began_ms: int, length: str = "", why: str = "") -> None:
        seconds = int(length) / 1_000 if length.isdigit() else (self._now() - began_ms) / 1_000
        self._say(RecordingEnded(recording=recording, at_ms=self._now(), path=path, seconds=seconds, why=why))

    def _job(self, event: dict[str, str]) -> None:
        """What became of a dial; where it came to nothing there may have been no channel at all."""
        leg = self._legs.get(self._jobs.pop(event.get("Job-UUID", ""), ""))
        body = event.get("_body", "").strip()
        if leg is not None and body.startswith("-ERR"):
            word = body[4:].strip()
            cause = leg.ended_by_us if leg.ended_by_us is not None else words.cause_of(word)
            self._ended(leg, cause, "command" if leg.ended_by_us is not None else "phone", word)

    def _ended(self, leg: _Leg, cause: Cause, by: By, why: str, status: int = 0) -> None:
        if self._by_channel.get(leg.channel) is not leg:
            return
        self._forget(leg)
        while leg.playing:
            self._say_played(leg, leg.playing.popleft(), "leg_ended")
        for recording, (path, began_ms) in list(leg.recordings.items()):
            self._say_recorded(recording, path, began_ms, why="" if by != "switch" else why)
        leg.recordings.clear()
        for bridge, pair in list(self._bridges.items()):
            if leg.id in pair:
                del self._bridges[bridge]
                self._unmade.discard(bridge)
        self._say(LegEnded(leg=leg.id, at_ms=self._now(), cause=cause, by=by, status=status, why=why[:200]))

    def _forget(self, leg: _Leg) -> None:
        self._legs.pop(leg.id, None)
        self._by_channel.pop(leg.channel, None)


def _number(text: str) -> str:
    """``74952345678`` → ``+74952345678``; extensions stay."""
    return f"+{text}" if text.isascii() and text.isdigit() and len(text) >= 8 else text
