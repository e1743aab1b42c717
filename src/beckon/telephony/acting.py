"""Acting: a call in the middle of a turn: what it sees, what it decides, and what it wants done. Pure."""

from typing import Any

import msgspec

from beckon.core.clock import iso
from beckon.core.errors import Refused
from beckon.core.liquid_text import Text
from beckon.telephony import orders as order
from beckon.telephony import script as made
from beckon.telephony.call import (
    DECISIONS_MAX,
    Answering,
    Call,
    Decision,
    Ending,
    Leg,
    Recording,
    Speaking,
    Stage,
    become,
)
from beckon.telephony.script import Script, Step, Steps
from beckon.telephony.switch import PROMPTS_MAX, SAY_CHARS_MAX, Cause, File, Prompt, Say

#: How long the caller's phone may take to agree that it is answered, and everything to be let go.
ANSWER_MS = 10_000
ENDING_MS = 10_000
#: The longest that one prompt is waited for.
PROMPT_MS = 600_000
#: Keys that are kept before anybody asks for them.
AHEAD_MAX = 32


class Acting:
    """A call in the middle of a turn."""

    __slots__ = ("call", "now_ms", "orders", "script")

    def __init__(self, script: Script, call: Call, now_ms: int) -> None:
        self.script = script
        self.call = call
        self.now_ms = now_ms
        self.orders: list[order.Order] = []

    # What it sees ----------------------------------------------------------------------------------------------------

    @property
    def step(self) -> Step | None:
        """The step in hand."""
        return self.script.by_path.get(self.call.pointer)

    def scope(self) -> dict[str, Any]:
        """The names that texts see."""
        call = self.call
        return {
            "call": call.id,
            "caller": call.caller,
            "called": call.called,
            "direction": call.direction,
            "digits": call.digits,
            "reply": call.reply,
            "contact": call.about.contact,
            "result": call.about.results,
            "settings": call.about.settings,
            "now": iso(self.now_ms),
            **call.kept,
        }

    def said(self, prompt: made.Prompt) -> tuple[Prompt, ...]:
        """A prompt in the caller's language. Raises ``Refused`` where a text has a hole in it."""
        return tuple(self._one(words) for words in prompt)

    def _one(self, words: made.Words) -> Prompt:
        if words.file:
            prompts = self.call.about.prompts
            return File(f"{prompts}/{words.file}" if prompts else words.file)
        locale = self.call.locale
        texts = dict(words.texts)
        for wanted in (locale, locale.partition("-")[0], self.script.locale, ""):
            if wanted in texts:
                spoken = wanted or self.script.locale
                return Say(self.text(texts[wanted], SAY_CHARS_MAX), spoken)
        first, text = words.texts[0]
        return Say(self.text(text, SAY_CHARS_MAX), first)

    def text(self, text: Text, chars_max: int = 2_000) -> str:
        """A text's words. Raises ``Refused``."""
        words = text.render(self.scope())
        if len(words) > chars_max:
            raise Refused("text.too_long", f"The text made is longer than {chars_max} characters.")
        return words

    # What it changes -------------------------------------------------------------------------------------------------

    def change(self, **fields: Any) -> None:
        """Make the call's next value."""
        self.call = msgspec.structs.replace(self.call, **fields)

    def stand(self, stage: Stage) -> None:
        """Be in the middle of this."""
        self.change(stage=stage)

    def restage(self, **fields: Any) -> None:
        """Make the stage's next value."""
        assert self.call.stage is not None
        self.change(stage=msgspec.structs.replace(self.call.stage, **fields))

    def order(self, wanted: order.Order) -> None:
        """Want this done."""
        self.orders.append(wanted)

    def decide(self, what: str, why: str = "", branch: str = "") -> None:
        """Write down what was done, and why."""
        decision = Decision(self.call.pointer, self.now_ms, what[:200], why[:300], branch)
        kept = (*self.call.decisions, decision)
        half = DECISIONS_MAX // 2
        self.change(decisions=kept if len(kept) <= DECISIONS_MAX else kept[:half] + kept[-half:])

    def fresh(self, mark: str) -> str:
        """An id that this call has not used: ``call_…-p3``."""
        self.change(made=self.call.made + 1)
        return f"{self.call.id}-{mark}{self.call.made}"

    def put_leg(self, leg: Leg) -> None:
        """Keep a new or changed leg."""
        legs = self.call.legs
        known = any(one.id == leg.id for one in legs)
        self.change(legs=tuple(leg if one.id == leg.id else one for one in legs) if known else (*legs, leg))

    def put_recording(self, recording: Recording) -> None:
        """Keep a new or changed recording."""
        kept = self.call.recordings
        known = any(one.id == recording.id for one in kept)
        made_ = tuple(recording if one.id == recording.id else one for one in kept)
        self.change(recordings=made_ if known else (*kept, recording))

    # Where it goes ---------------------------------------------------------------------------------------------------

    def go_on(self) -> None:
        """To the step after this one; where a reply is being carried out, to its next instruction."""
        if self.call.following:
            self.change(stage=None)
            return
        self.change(stage=None, pointer=self.script.after.get(self.call.pointer, ""))

    def enter(self, inside: Steps | None) -> None:
        """Into a branch; past the step where it is empty."""
        after = self.script.after.get(self.call.pointer, "")
        self.change(stage=None, following=False, queue=(), pointer=inside[0].path if inside else after)

    def jump(self, name: str) -> None:
        """To a named step. Raises ``Refused`` where there is none."""
        path = self.script.named.get(name)
        if path is None:
            raise Refused("script.unknown_target", f"There is no step called {name[:60]!r}.")
        self.change(stage=None, following=False, queue=(), pointer=path)

    def fail(self, code: str, why: str) -> None:
        """A step can't be done: the script's backup, or the end."""
        self.decide("failed", f"{why} [{code}]", "backup" if self.script.backup else "")
        if self.script.backup and not self.call.pointer.startswith("backup."):
            self.change(stage=None, following=False, queue=(), pointer=self.script.backup[0].path)
        else:
            self.end("failed", f"{why} [{code}]")

    def end(self, outcome: str, why: str = "", cause: Cause = "normal", reject: int = 0) -> None:
        """Let everything go."""
        call = self.call
        if call.status in ("ending", "over"):
            return
        if isinstance(call.stage, Ending):  # pragma: no cover - the status says so first
            return
        for leg in call.legs:
            if leg.state != "ended":
                if leg.id == call.leg and leg.state == "offered" and reject:
                    self.order(order.Reject(leg.id, reject))
                else:
                    self.order(order.HangUp(leg.id, cause))
        for recording in call.recordings:
            if recording.open:
                self.order(order.StopRecording(recording.id))
        ask = getattr(call.stage, "ask", "")
        if ask:
            self.order(order.Forget(ask))
        self.call = become(self.call, "ending")
        self.change(
            outcome=outcome, why=why[:300], queue=(), following=False, stage=Ending(until_ms=self.now_ms + ENDING_MS)
        )
        self.settle()

    def settle(self) -> None:
        """The call is over when its last leg and its last recording are."""
        call = self.call
        if call.status != "ending":
            return
        if all(leg.state == "ended" for leg in call.legs) and not any(one.open for one in call.recordings):
            self.call = become(call, "over")
            self.change(stage=None)

    # What many steps do ----------------------------------------------------------------------------------------------

    def hears(self) -> bool:
        """Whether the caller can hear us; where not yet, answers, and the step is done again afterwards."""
        if self.call.is_up:
            return True
        self.order(order.Answer(self.call.leg))
        self.stand(Answering(until_ms=self.now_ms + ANSWER_MS))
        return False

    def speak(self, prompts: tuple[Prompt, ...], *, barge_in: bool = False, last: bool = False) -> None:
        """Say something, and go on when it is said."""
        playback = self.play(prompts, barge_in=barge_in)
        self.stand(Speaking(playback=playback, until_ms=self.now_ms + PROMPT_MS, barge_in=barge_in, last=last))

    def play(self, prompts: tuple[Prompt, ...], *, leg: str = "", barge_in: bool = False) -> str:
        """Let a leg hear something; the playback's id."""
        playback = self.fresh("p")
        self.order(order.Play(leg or self.call.leg, playback, prompts[:PROMPTS_MAX], barge_in))
        return playback

    def record(self, what: str, of: str, *, box: str = "", max_s: float = 0.0) -> str:
        """Begin a recording; its id."""
        recording = self.fresh("r")
        self.put_recording(Recording(id=recording, what=what, began_ms=self.now_ms, box=box))
        self.order(order.Record(recording=recording, of=of, max_s=max_s))
        return recording

    def remember_key(self, key: str) -> None:
        """A key that nobody asked for yet."""
        self.change(ahead=(self.call.ahead + key)[:AHEAD_MAX])
