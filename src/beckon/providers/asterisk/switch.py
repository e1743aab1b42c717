"""``Asterisk``: an Asterisk behind ``Switch``: REST for what is commanded, a WebSocket for what is heard.

Ids are ours wherever Asterisk lets us choose: events overtake the answers to the commands that lead to them.
"""

import asyncio
import base64
import contextlib
import logging
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.outbox.connections import PooledConnections
from beckon.providers.asterisk import words
from beckon.providers.asterisk.settings import AsteriskSettings
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

log = logging.getLogger("beckon.asterisk")

_REST_S = 5.0
_CONNECT_S = 5.0
_PAUSE_S = 1.0
_EVENT_BYTES_MAX = 1_048_576


class _Leg(msgspec.Struct):
    """One channel."""

    id: str
    answered: bool = False
    ringing: bool = False
    ended_by_us: Cause | None = None
    cause: int | None = None


class _Playback(msgspec.Struct):
    leg: str
    began_ms: int
    barge_in: bool = False
    loops: bool = False
    ending: PlaybackEnd | None = None
    media: str = ""


class _Recording(msgspec.Struct):
    began_ms: int
    #: the leg or the bridge.
    of: str
    #: the channel that listens, for a leg.
    snoop: str = ""


class Asterisk(Driver):
    """One Asterisk."""

    name = "asterisk"

    def __init__(
        self, settings: AsteriskSettings, clock: Clock, listener: Listener, capabilities: Capabilities
    ) -> None:
        super().__init__(clock, listener)
        prompts = capabilities.prompts | ({"say"} if settings.speak_url else frozenset())
        self.capabilities = msgspec.structs.replace(capabilities, prompts=prompts)
        self._settings = settings
        self._connections = PooledConnections()
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing = False
        self._legs: dict[str, _Leg] = {}
        self._playing: dict[str, _Playback] = {}
        self._recordings: dict[str, _Recording] = {}
        self._bridges: dict[str, tuple[str, str]] = {}
        self._unmade: set[str] = set()
        pair = f"{settings.username}:{settings.password}".encode()
        self._headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    # Life -------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect. Raises ``Misconfigured`` where it can't."""
        try:
            await self._connect()
        except Unavailable as error:
            raise Misconfigured(error.code, error.why) from error
        self._running = asyncio.create_task(self._run())
        self._say(SwitchUp(at_ms=self._now()))

    async def close(self) -> None:
        """End every leg, and go."""
        self._closing = True
        for leg in list(self._legs):
            with contextlib.suppress(BeckonError):
                await self.hang_up(leg)
        for _ in range(50):
            if not self._legs:
                break
            await asyncio.sleep(0.02)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._lose("the switch is closed", down=False)
        await self._drop_tasks()
        await self._connections.close()

    async def _connect(self) -> None:
        parts = urlsplit(self._settings.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        query = urlencode({"app": self._settings.app, "subscribeAll": "false"})
        try:
            self._socket = await connect(
                f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/events?{query}",
                additional_headers=self._headers,
                open_timeout=_CONNECT_S,
                max_size=_EVENT_BYTES_MAX,
                proxy=None,
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            if "401" in str(error):
                raise Misconfigured("asterisk.password", "Asterisk does not take the user and the password") from error
            raise Unavailable("asterisk.unreachable", f"{parts.netloc} can't be reached: {error}") from error

    async def _run(self) -> None:
        """Read what it says; where it is gone, say so and come back."""
        while not self._closing:
            assert self._socket is not None
            try:
                async for message in self._socket:
                    self._message(message)
            except (OSError, WebSocketException) as error:
                log.warning("the WebSocket failed: %s", error)
            await self._lose("the WebSocket is gone", down=not self._closing)
            while not self._closing:
                await asyncio.sleep(_PAUSE_S)
                try:
                    await self._connect()
                except BeckonError as error:
                    log.warning("Asterisk is out of reach: %s", error.why)
                else:
                    self._say(SwitchUp(at_ms=self._now()))
                    break

    async def _lose(self, why: str, *, down: bool) -> None:
        """Nothing that was is any more."""
        socket, self._socket = self._socket, None
        for leg in list(self._legs.values()):
            self._ended(leg, "switch_down", "switch", why)
        if down:
            self._say(SwitchDown(at_ms=self._now(), why=why))
        if socket is not None:
            await socket.close()

    async def _rest(self, method: str, path: str, **query: str) -> None:
        """One command. Raises ``Refused`` (404: the leg is gone), or ``Unavailable``."""
        url = f"{self._settings.url.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
        reply = await self._connections.request(method, url, headers=self._headers, timeout_s=_REST_S)
        if reply.status < 300:
            return
        if reply.status in (404, 409, 412) and path.startswith("/channels/"):
            raise Refused("call.leg_gone", "the leg has ended, or is not ours any more")
        if reply.status >= 500:
            raise Unavailable("asterisk.failed", f"Asterisk answers {reply.status}")
        raise Refused(
            "asterisk.refused", f"Asterisk answers {reply.status}: {reply.body[:120].decode(errors='replace')}"
        )

    # What is commanded ------------------------------------------------------------------------------------------------

    async def ring(self, leg: str, *, early_media: bool = False) -> None:
        """Let an offered leg ring."""
        await self._rest("POST", f"/channels/{self._leg(leg).id}/ring")

    async def answer(self, leg: str) -> None:
        """Answer an offered leg."""
        known = self._leg(leg)
        if known.answered:
            self._say(LegAnswered(leg=leg, at_ms=self._now()))
        else:
            await self._rest("POST", f"/channels/{leg}/answer")

    async def reject(self, leg: str, status: int = 603) -> None:
        """Refuse an offered leg."""
        self._leg(leg).ended_by_us = "declined"
        await self._rest("DELETE", f"/channels/{leg}", reason=words.reason_for(status))

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Play; Asterisk itself lets a second playback wait for the first."""
        media = ",".join(words.media_of(prompt, self._settings) for prompt in prompts)
        await self._play(playback, _Playback(self._leg(leg).id, self._now(), barge_in, media=media))

    async def _play(self, playback: str, made: _Playback) -> None:
        self._playing[playback] = made
        try:
            await self._rest("POST", f"/channels/{made.leg}/play/{playback}", media=made.media)
        except BeckonError:
            self._playing.pop(playback, None)
            raise

    async def stop(self, playback: str) -> None:
        """End a playback."""
        known = self._playing.get(playback)
        if known is not None and known.ending is None:
            known.ending = "stopped"
            with contextlib.suppress(Refused):
                await self._rest("DELETE", f"/playbacks/{playback}")

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
        endpoint = words.endpoint_of(to, self._settings)
        shown = f'"{caller_name}" <{caller_id}>' if caller_name else caller_id
        more = {"originator": on_behalf_of} if on_behalf_of in self._legs else {}
        self._legs[leg] = _Leg(leg)  # before the command: its events may overtake its answer
        try:
            await self._rest(
                "POST",
                f"/channels/{leg}",
                endpoint=endpoint,
                app=self._settings.app,
                appArgs=f"dialed,{leg}",
                callerId=shown or "anonymous",
                timeout=str(max(1, round(ring_s))),
                **more,
            )
        except BeckonError:
            self._legs.pop(leg, None)
            raise

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """Join two legs, once both are answered."""
        pair = (self._leg(leg), self._leg(other))
        for playback, playing in list(self._playing.items()):
            if playing.leg in (leg, other):
                await self.stop(playback)
        self._bridges[bridge] = (leg, other)
        await self._rest("POST", f"/bridges/{bridge}", type="mixing")
        if all(known.answered for known in pair):
            await self._join(bridge)
            return
        self._unmade.add(bridge)
        if ringback:
            for known in pair:
                if known.answered:
                    await self._rest("POST", f"/channels/{known.id}/ring")

    async def _join(self, bridge: str) -> None:
        self._unmade.discard(bridge)
        await self._rest("POST", f"/bridges/{bridge}/addChannel", channel=",".join(self._bridges[bridge]))

    async def unbridge(self, bridge: str) -> None:
        """Part two legs; both stay with us."""
        if self._bridges.pop(bridge, None) is not None:
            self._unmade.discard(bridge)
            with contextlib.suppress(Refused):
                await self._rest("DELETE", f"/bridges/{bridge}")

    async def hold(self, leg: str, prompts: tuple[Prompt, ...] = ()) -> None:
        """Keep a leg waiting."""
        known = self._leg(leg)
        if not prompts:
            await self._rest("POST", f"/channels/{known.id}/moh")
            return
        media = words.waiting_media(prompts, self._settings)
        await self._play(f"hold-{leg}", _Playback(leg, self._now(), loops=True, media=media))

    async def resume(self, leg: str) -> None:
        """It waits no longer."""
        if f"hold-{leg}" in self._playing:
            await self.stop(f"hold-{leg}")
        else:
            with contextlib.suppress(Refused):
                await self._rest("DELETE", f"/channels/{self._leg(leg).id}/moh")

    async def record(self, recording: str, of: str, *, stereo: bool = True, max_s: float = 0.0) -> None:
        """Record a bridge; or a leg, both its ways, by a channel that listens."""
        limit = str(round(max_s) or self._settings.recording_s_max)
        named = {
            "name": recording,
            "format": "wav",
            "maxDurationSeconds": limit,
            "ifExists": "overwrite",
            "beep": "false",
        }
        made = self._recordings[recording] = _Recording(self._now(), of)
        try:
            if of in self._bridges:
                await self._rest("POST", f"/bridges/{of}/record", **named)
                return
            made.snoop = f"snoop-{recording}"
            await self._rest(
                "POST",
                f"/channels/{self._leg(of).id}/snoop/{made.snoop}",
                spy="both",
                app=self._settings.app,
                appArgs="snoop",
            )
            await self._rest("POST", f"/channels/{made.snoop}/record", **named)
        except BeckonError:
            self._recordings.pop(recording, None)
            raise

    async def stop_recording(self, recording: str) -> None:
        """Close a recording."""
        if recording in self._recordings:
            with contextlib.suppress(Refused):
                await self._rest("POST", f"/recordings/live/{recording}/stop")

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys."""
        if not digits or any(digit not in KEYS for digit in digits):
            raise Refused("asterisk.digits", "these are no keys of a phone")
        await self._rest("POST", f"/channels/{self._leg(leg).id}/dtmf", dtmf=digits)

    async def hang_up(self, leg: str, cause: Cause = "normal") -> None:
        """End a leg; one that has ended is no error."""
        known = self._legs.get(leg)
        if known is None:
            return
        known.ended_by_us = cause
        try:
            await self._rest("DELETE", f"/channels/{leg}", reason=words.reason_of(cause))
        except Refused:
            self._ended(known, cause, "command", "")

    def _leg(self, leg: str) -> _Leg:
        known = self._legs.get(leg)
        if known is None:
            raise Refused("call.leg_gone", "the leg has ended")
        return known

    # What is heard ----------------------------------------------------------------------------------------------------

    def _message(self, message: str | bytes) -> None:
        try:
            event: Any = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("an event is no JSON")
            return
        if isinstance(event, dict):
            try:
                self._event(event)
            except (AttributeError, KeyError, TypeError, ValueError):
                log.warning("an event of the type %s can't be read", str(event.get("type"))[:60])

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "PlaybackFinished":
            self._played(event["playback"])
            return
        if kind in ("RecordingFinished", "RecordingFailed"):
            self._recorded(event["recording"], "" if kind == "RecordingFinished" else "the recording failed")
            return
        channel = event.get("channel") or {}
        if kind == "StasisStart":
            self._entered(channel, event.get("args") or [])
            return
        leg = self._legs.get(str(channel.get("id")))
        if leg is None:
            return
        if kind == "ChannelStateChange":
            self._changed(leg, str(channel.get("state")))
        elif kind == "ChannelDtmfReceived":
            self._pressed(leg, str(event.get("digit")))
        elif kind in ("ChannelHold", "ChannelUnhold"):
            self._say(LegHeld(leg=leg.id, at_ms=self._now(), held=kind == "ChannelHold"))
        elif kind == "ChannelHangupRequest":
            leg.cause = event.get("cause", leg.cause)
        elif kind in ("StasisEnd", "ChannelDestroyed"):
            ours = leg.ended_by_us
            cause = ours if ours is not None else words.cause_of(event.get("cause", leg.cause))
            self._ended(leg, cause, "command" if ours is not None else "phone", str(event.get("cause_txt") or ""))

    def _entered(self, channel: dict[str, Any], args: list[Any]) -> None:
        """A channel is ours: a call that came in, one that we dialled and that is answered, one that listens."""
        id_ = str(channel["id"])
        if args[:1] == ["snoop"]:
            return
        leg = self._legs.get(id_)
        if leg is not None:
            if not leg.answered:
                self._answered(leg)
            return
        self._legs[id_] = _Leg(id_, answered=channel.get("state") == "Up")
        self._say(
            LegOffered(
                leg=id_,
                at_ms=self._now(),
                caller=words.number_of((channel.get("caller") or {}).get("number")),
                called=words.number_of((channel.get("dialplan") or {}).get("exten")),
                source=str((channel.get("dialplan") or {}).get("context") or ""),
                call_id=str(channel.get("protocol_id") or ""),
            )
        )

    def _changed(self, leg: _Leg, state: str) -> None:
        if state == "Ringing" and not leg.ringing:
            leg.ringing = True
            self._say(LegRinging(leg=leg.id, at_ms=self._now()))
        elif state == "Up" and not leg.answered and not leg.ringing:
            # One that we dialled is ours only when it enters: its StasisStart follows.
            self._answered(leg)

    def _answered(self, leg: _Leg) -> None:
        leg.answered = True
        self._say(LegAnswered(leg=leg.id, at_ms=self._now()))
        for bridge in list(self._unmade):
            pair = [self._legs.get(one) for one in self._bridges.get(bridge, ())]
            if leg in pair and all(one is not None and one.answered for one in pair):
                self._soon(self._join(bridge))

    def _pressed(self, leg: _Leg, key: str) -> None:
        if len(key) != 1 or key not in KEYS:
            return
        self._say(KeyPressed(leg=leg.id, at_ms=self._now(), key=key, by="rfc4733"))
        for playback, known in list(self._playing.items()):
            if known.leg == leg.id and not known.loops and known.ending is None:
                if not known.barge_in:
                    return
                known.ending = "key"
                self._soon(self._rest("DELETE", f"/playbacks/{playback}"))

    def _played(self, said: dict[str, Any]) -> None:
        playback = str(said["id"])
        known = self._playing.get(playback)
        if known is None:
            return
        if known.loops and known.ending is None and known.leg in self._legs:
            self._soon(self._rest("POST", f"/channels/{known.leg}/play/{playback}", media=known.media))
            return
        del self._playing[playback]
        failed = said.get("state") == "failed"
        self._say_played(playback, known, known.ending or ("failed" if failed else "done"))

    def _say_played(self, playback: str, known: _Playback, end: PlaybackEnd) -> None:
        if not known.loops:
            played_ms = max(0, self._now() - known.began_ms)
            self._say(PlaybackEnded(playback=playback, leg=known.leg, at_ms=self._now(), end=end, played_ms=played_ms))

    def _recorded(self, said: dict[str, Any], why: str) -> None:
        name = str(said["name"])
        known = self._recordings.pop(name, None)
        if known is None:
            return
        length = said.get("duration")
        seconds = float(length) if isinstance(length, int | float) else (self._now() - known.began_ms) / 1_000
        if known.snoop:
            self._soon(self._rest("DELETE", f"/channels/{known.snoop}"))
        path = "" if why else f"{self._settings.recordings_folder}/{name}.wav"
        self._say(RecordingEnded(recording=name, at_ms=self._now(), path=path, seconds=seconds, why=why))

    def _ended(self, leg: _Leg, cause: Cause, by: By, why: str) -> None:
        if self._legs.pop(leg.id, None) is None:
            return
        for playback, known in list(self._playing.items()):
            if known.leg == leg.id:
                del self._playing[playback]
                self._say_played(playback, known, "leg_ended")
        for bridge, pair in list(self._bridges.items()):
            if leg.id in pair:
                del self._bridges[bridge]
                self._unmade.discard(bridge)
                if by != "switch":
                    self._soon(self._rest("DELETE", f"/bridges/{bridge}"))
        if by == "switch":
            for recording, made in list(self._recordings.items()):
                del self._recordings[recording]
                seconds = (self._now() - made.began_ms) / 1_000
                path = f"{self._settings.recordings_folder}/{recording}.wav"
                self._say(RecordingEnded(recording=recording, at_ms=self._now(), path=path, seconds=seconds, why=why))
        self._say(LegEnded(leg=leg.id, at_ms=self._now(), cause=cause, by=by, why=why[:200]))
