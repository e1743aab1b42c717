"""Instructions: what a call is told to do next, in our own words, whoever says it and however it is written. Pure.

A decision (a flow's ``answer:``, an external system's reply) is a short list of these, in order. Dialects render the
list for a PBX (one UIS object, jambonz verbs, TwiML) and read it from a reply; a script carries it out on a switch.
"""

import re
from collections.abc import Iterable

import msgspec

from beckon.core.errors import Refused
from beckon.telephony.switch import KEYS, SAY_CHARS_MAX, File, Say

#: Instructions in one answer, numbers in one dial, keys in one gather.
INSTRUCTIONS_MAX = 32
NUMBERS_MAX = 16
KEYS_MAX = 32

#: A phone that registers at the switch: its user name.
PHONE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)

#: What is heard: spoken words or a recorded file.
Spoken = Say | File


class Speak(msgspec.Struct, frozen=True, kw_only=True, tag="say"):
    """Say words, or play a file."""

    prompt: Spoken
    barge_in: bool = False


class Gather(msgspec.Struct, frozen=True, kw_only=True, tag="gather"):
    """Collect keys, and ask again with them."""

    keys_max: int = KEYS_MAX
    keys_min: int = 1
    #: the key that ends it; empty: none does.
    until: str = "#"
    #: said first; a key interrupts it.
    prompts: tuple[Spoken, ...] = ()
    between_s: float = 5.0
    within_s: float = 20.0


class Dial(msgspec.Struct, frozen=True, kw_only=True, tag="dial"):
    """Connect with one of these numbers."""

    numbers: tuple[str, ...]
    at_once: bool = False
    #: what the callee's phone shows; empty: the number that was called, so that nobody learns the caller's.
    caller_id: str = ""
    #: said to the callee alone, before the two hear each other.
    hint: tuple[Spoken, ...] = ()
    ring_s: float = 25.0
    record: bool = False


class Record(msgspec.Struct, frozen=True, kw_only=True, tag="record"):
    """Record the call from here on, or stop doing so."""

    on: bool = True


class Code(msgspec.Struct, frozen=True, kw_only=True, tag="code"):
    """Go the way that the script has for this number."""

    code: int


class Redirect(msgspec.Struct, frozen=True, kw_only=True, tag="redirect"):
    """Go on elsewhere: with a script's named step, or with the instructions at a URL."""

    to: str


class HangUp(msgspec.Struct, frozen=True, kw_only=True, tag="hang_up"):
    """End the call."""

    reason: str = ""


Instruction = Speak | Gather | Dial | Record | Code | Redirect | HangUp


def checked(instructions: Iterable[Instruction]) -> tuple[Instruction, ...]:
    """The instructions, if they can be carried out at all. Raises ``Refused``, saying which can't."""
    made = tuple(instructions)
    if len(made) > INSTRUCTIONS_MAX:
        raise Refused("call.instructions", f"An answer holds at most {INSTRUCTIONS_MAX} instructions.")
    for instruction in made:
        _check(instruction)
    return made


def dialled(text: object) -> str:
    """A number as it is dialled: digits, with a + before them where it had one. Raises ``Refused`` for what is none."""
    written = str(text).strip()
    digits = "".join(char for char in written if char not in " -.()/\u00a0")
    bare = digits.removeprefix("+")
    if not (2 <= len(bare) <= 20 and bare.isascii() and bare.isdigit()):
        raise Refused("call.number", f"{written[:40]!r} is no number that can be dialled.")
    return digits


def reachable(text: object) -> str:
    """A number, or the name of a phone that registers at the switch. Raises ``Refused`` for what is neither."""
    written = str(text).strip()
    return written if PHONE.fullmatch(written) else dialled(written)


def _check(instruction: Instruction) -> None:
    if isinstance(instruction, Speak):
        _check_spoken((instruction.prompt,))
    elif isinstance(instruction, Gather):
        _check_spoken(instruction.prompts)
        if not 1 <= instruction.keys_min <= instruction.keys_max <= KEYS_MAX:
            raise Refused("call.gather", f"A gather takes 1 to {KEYS_MAX} keys, and no fewer at most than at least.")
        if len(instruction.until) > 1 or instruction.until not in f"{KEYS} ":
            raise Refused("call.gather", "What ends a gather is one key of a phone.")
    elif isinstance(instruction, Dial):
        _check_spoken(instruction.hint)
        if not 1 <= len(instruction.numbers) <= NUMBERS_MAX:
            raise Refused("call.number", f"A call is connected with 1 to {NUMBERS_MAX} numbers.")
        for number in instruction.numbers:
            dialled(number)


def _check_spoken(prompts: tuple[Spoken, ...]) -> None:
    for prompt in prompts:
        if isinstance(prompt, Say) and not 0 < len(prompt.text.strip()) <= SAY_CHARS_MAX:
            raise Refused("call.prompt", f"What is said has 1 to {SAY_CHARS_MAX} characters.")
        if isinstance(prompt, File) and not 0 < len(prompt.path) <= 1_000:
            raise Refused("call.prompt", "A file to play has a name.")
