"""Telephones: the sandbox's phones and the switch between them: they ring, hear what is said to them, press keys, talk.

It is the switch in memory, told what each phone does: in the demo a person lifts and types, in a scenario its steps do.
Texts are spoken by a speaker that is handed in; without one they are read instead, and nothing is recorded.
"""

import asyncio
import wave
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path

import msgspec

from beckon.core.clock import Clock
from beckon.core.ids import fresh
from beckon.telephony.fake_switch import FakeSwitch
from beckon.telephony.switch import (
    Capabilities,
    KeyPressed,
    Listener,
    PlaybackEnded,
    Prompt,
    RecordingEnded,
    Say,
    SwitchOffer,
)

#: Speaks: (text, locale) → a WAV file of 16-bit samples, one channel.
Speak = Callable[[str, str], Awaitable[bytes]]

HEARD_MAX = 40
SAID_MAX = 200
#: How fast somebody reads what nobody speaks, and the least time for it, in milliseconds.
_LETTER_MS, _LEAST_MS = 55, 700
#: What a courier and a customer say once they are connected, in turn: (who, words).
TALK = (
    ("caller", "Hello, this is your courier. I am at the door with your parcel."),
    ("callee", "Thank you. I am coming down."),
    ("caller", "No hurry. I will wait by the lift."),
    ("callee", "See you in a minute."),
)
_PAUSE_S = 0.4


class Heard(msgspec.Struct, frozen=True):
    """Something that a phone heard, or its owner said: ``who``: us, me, them."""

    id: str
    at_ms: int
    who: str
    text: str
    #: there is a WAV file of it.
    spoken: bool


class Phone(msgspec.Struct):
    """One phone. ``state``: idle, calling, ringing, up."""

    number: str
    state: str = "idle"
    leg: str = ""
    #: what it shows of whoever calls it, or whom it calls.
    shows: str = ""
    #: keys pressed in this call.
    keys: str = ""
    #: what becomes of a call to it: answers, rings, busy, no_answer, declined.
    fate: str = "answers"
    heard: list[Heard] = msgspec.field(default_factory=list)
    #: why its last call ended.
    ended: str = ""


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where recordings lie."""

    folder: str = ""


class Telephones:
    """All phones, and the switch. ``instant``: what is said is heard at once, as a scenario wants it."""

    def __init__(self, speak: Speak | None = None, *, instant: bool = True) -> None:
        self.speak = speak
        self.instant = instant
        self.on_change: Callable[[], None] = lambda: None
        self.phones: dict[str, Phone] = {}
        self.switch: PretendedSwitch | None = None
        #: what was spoken, by the id of its text.
        self.said: dict[str, bytes] = {}
        self.offer = SwitchOffer(
            name="pretended", settings=_Settings, secrets=(), capabilities=Capabilities(), open=self._open
        )

    def _open(self, settings: _Settings, clock: Clock, listener: Listener) -> FakeSwitch:
        self.switch = PretendedSwitch(self, Path(settings.folder) / "recordings", clock, listener)
        return self.switch

    @property
    def quiet(self) -> bool:
        """Nobody speaks, unless that takes its time as it does for people."""
        return not self.instant or self.switch is None or self.switch.quiet

    def phone(self, number: str) -> Phone:
        """The phone of this number."""
        return self.phones.setdefault(number, Phone(number))

    def fresh(self) -> None:
        """Every phone is put down, and nothing was heard."""
        for phone in self.phones.values():
            self.hang_up(phone.number)
        self.phones.clear()

    # What people do.

    def call(self, caller: str, called: str) -> None:
        """Somebody calls."""
        assert self.switch is not None
        phone = self.phone(caller)
        if phone.state != "idle":
            return
        phone.heard.clear()
        phone.keys, phone.ended, phone.shows, phone.state = "", "", called, "calling"
        phone.leg = self.switch.offer(caller, called)
        self.on_change()

    def press(self, number: str, keys: str) -> None:
        """Somebody types."""
        phone = self.phone(number)
        if self.switch is not None and phone.state in ("up", "calling"):
            phone.keys = (phone.keys + keys)[-40:]
            self.switch.press(phone.leg, keys)
            self.on_change()

    def lift(self, number: str) -> None:
        """A phone that rings is answered."""
        phone = self.phone(number)
        if self.switch is not None and phone.state == "ringing":
            self.switch.pick_up(number)

    def hang_up(self, number: str) -> None:
        """Somebody hangs up, or doesn't take the call."""
        phone = self.phone(number)
        if self.switch is not None and phone.state != "idle":
            self.switch.hang_up_by(phone.leg, "declined" if phone.state == "ringing" else "normal")

    # What phones hear.

    def hears(self, number: str, who: str, text: str) -> str:
        """A phone hears something; what was spoken comes when it is ready."""
        phone = self.phone(number)
        id_ = fresh("say")
        assert self.switch is not None
        phone.heard = [*phone.heard, Heard(id_, self.switch.now_ms(), who, text, self.speak is not None)][-HEARD_MAX:]
        self.on_change()
        return id_

    async def spoken(self, text: str, locale: str) -> bytes:
        """The words as a WAV file; nothing where there is no speaker."""
        if self.speak is None:
            return b""
        key = f"{locale}\x1f{text}"
        if key not in self.said:
            if len(self.said) >= SAID_MAX:
                self.said.pop(next(iter(self.said)))
            self.said[key] = await self.speak(text, locale)
        return self.said[key]

    def heard(self, id_: str) -> Heard | None:
        """One thing that some phone heard."""
        return next((one for phone in self.phones.values() for one in phone.heard if one.id == id_), None)


class PretendedSwitch(FakeSwitch):
    """The switch in memory, with phones that hear and talk, and recordings that can be played."""

    name = "pretended"

    def __init__(self, telephones: Telephones, folder: Path, clock: Clock, listener: Listener) -> None:
        super().__init__(clock, listener)
        self._telephones = telephones
        self._folder = folder
        self.hears = False
        self._barging: dict[str, str] = {}
        self._working: set[asyncio.Task[None]] = set()
        #: what was said over each bridge so far
        self._taped: dict[str, bytes] = {}

    @property
    def quiet(self) -> bool:
        """Nobody speaks, and nothing is being made ready."""
        return not self._working

    def now_ms(self) -> int:
        """The sandbox's clock."""
        return self._now()

    async def close(self) -> None:
        """Everybody stops speaking."""
        await super().close()
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    # Phones follow what the switch tells.

    def _say(self, event: object) -> None:
        leg = getattr(event, "leg", "")
        number = self.legs.get(leg, "")
        kind = type(event).__name__
        phone = self._telephones.phone(number) if number else None
        if phone is None:
            phone = next((one for one in self._telephones.phones.values() if leg and one.leg == leg), None)
        if phone is not None:
            if kind == "LegAnswered":
                phone.state = "up"
            elif kind == "LegRinging":
                phone.state = "ringing"
            elif kind == "LegEnded":
                phone.state, phone.leg, phone.ended = "idle", "", str(getattr(event, "cause", ""))
        if isinstance(event, KeyPressed):
            for playback in [one for one, at in self._barging.items() if at == event.leg]:
                self._barging.pop(playback)
                self._interrupt(playback)
        super()._say(event)  # type: ignore[arg-type]
        self._telephones.on_change()

    def _interrupt(self, playback: str) -> None:
        self._end_playback(playback, "key")

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
        """A phone rings, unless it is in use."""
        phone = self._telephones.phone(to)
        self.phones[to] = "busy" if phone.state != "idle" else phone.fate
        if phone.state == "idle":
            phone.leg, phone.shows, phone.keys, phone.ended = leg, caller_id, "", ""
            phone.heard.clear()
        await super().dial(leg, to, caller_id=caller_id, ring_s=ring_s, on_behalf_of=on_behalf_of)

    async def play(self, leg: str, playback: str, prompts: tuple[Prompt, ...], *, barge_in: bool = False) -> None:
        """Say it to this phone."""
        await super().play(leg, playback, prompts, barge_in=barge_in)
        if barge_in:
            self._barging[playback] = leg
        self._work(self._speak(leg, playback, prompts))

    async def _speak(self, leg: str, playback: str, prompts: tuple[Prompt, ...]) -> None:
        for prompt in prompts:
            if not isinstance(prompt, Say) or playback not in self.playing:
                continue
            self._telephones.hears(self.legs.get(leg, ""), "us", prompt.text)
            wav = await self._telephones.spoken(prompt.text, prompt.locale)
            if not self._telephones.instant:
                await asyncio.sleep(seconds_of(wav) or max(_LEAST_MS, _LETTER_MS * len(prompt.text)) / 1_000)
        self._barging.pop(playback, None)
        self._end_playback(playback, "done")

    async def bridge(self, bridge: str, leg: str, other: str, *, ringback: bool = False) -> None:
        """The two talk."""
        await super().bridge(bridge, leg, other)
        self._work(self._talk(bridge, leg, other))

    async def _talk(self, bridge: str, leg: str, other: str) -> None:
        numbers = {"caller": self.legs.get(leg, ""), "callee": self.legs.get(other, "")}
        pieces: list[tuple[str, bytes]] = []
        for who, words in TALK:
            if bridge not in self.bridges:
                return
            for side, number in numbers.items():
                self._telephones.hears(number, "me" if side == who else "them", words)
            wav = await self._telephones.spoken(words, "en-GB" if who == "caller" else "en-US")
            if wav:
                pieces.append((who, wav))
                self._taped[bridge] = await asyncio.to_thread(mixed, pieces)
            if not self._telephones.instant:
                await asyncio.sleep(seconds_of(wav) or _LETTER_MS * len(words) / 1_000)

    def _end_recording(self, recording: str) -> None:
        """The recording's file, as far as they have talked; none where nobody speaks."""
        of = self.recording.pop(recording, None)
        if of is None:
            return
        wav = self._taped.pop(of, b"")
        path = self._folder / f"{recording}.wav"
        if wav:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav)
        why = "" if self._telephones.speak is not None else "espeak-ng is not installed, so nobody speaks here"
        ended = RecordingEnded(
            recording=recording, at_ms=self._now(), path=str(path) if wav else "", seconds=seconds_of(wav), why=why
        )
        self._say(ended)

    def _end_playback(self, playback: str, end: str) -> None:
        leg = self.playing.pop(playback, None)
        if leg is not None:
            ended = PlaybackEnded(playback=playback, leg=leg, at_ms=self._now(), end="done")
            self._say(msgspec.structs.replace(ended, end=end))

    def _work(self, doing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(doing)
        self._working.add(task)
        task.add_done_callback(self._working.discard)


def seconds_of(wav: bytes) -> float:
    """How long a WAV file is; 0 for none."""
    try:
        with wave.open(BytesIO(wav)) as file:
            # A speaker that writes to a pipe says the length last, or never.
            there = max(0, len(wav) - 44) // (file.getsampwidth() * file.getnchannels())
            return float(min(file.getnframes(), there) / file.getframerate())
    except (wave.Error, EOFError):
        return 0.0


def mixed(pieces: list[tuple[str, bytes]]) -> bytes:
    """What two people said in turn as one recording: the caller left, the callee right."""
    rate, frames = 0, bytearray()
    for who, wav in pieces:
        with wave.open(BytesIO(wav)) as file:
            rate = file.getframerate()
            mono = file.readframes(int(seconds_of(wav) * rate))
        mono = mono[: len(mono) - len(mono) % 2] + b"\0\0" * int(_PAUSE_S * rate)
        both = bytearray(2 * len(mono))
        at = 0 if who == "caller" else 2
        both[at::4], both[at + 1 :: 4] = mono[0::2], mono[1::2]
        frames += both
    written = BytesIO()
    with wave.open(written, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(frames))
    return written.getvalue()
