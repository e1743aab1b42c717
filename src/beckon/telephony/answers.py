"""Answers in plain words: ``{say: …, phones: […], code: 2}``, as a flow's ``answer:`` and trials write them. Pure.

=============  =========================================================================
``say``        words to speak, or several
``play``       a file to play, or several
``gather``     ``{max, min, until, between, within}``: keys, with which it is asked again
``phones``     numbers to connect with, ``at_once: true`` for all at once
``hint``       words for the callee alone; ``hint_file``: a file
``caller_id``  what the callee's phone shows
``ring``       for how long, in seconds
``record``     record the conversation, or without phones the call
``code``       the script's way with this number
``redirect``   the script's named step
``hang_up``    the reason, or true
``locale``     the language of its words; without it the call's
=============  =========================================================================
"""

from collections.abc import Mapping
from typing import Any

from beckon.core.errors import Refused
from beckon.core.measures import closest
from beckon.telephony import instructions as told
from beckon.telephony.instructions import Instruction, Spoken, checked
from beckon.telephony.switch import File, Say

#: Every name that an answer may hold.
NAMES = (
    "say", "play", "gather", "phones", "at_once", "hint", "hint_file", "caller_id", "ring", "record", "code",
    "redirect", "hang_up", "locale",
)  # fmt: skip
_GATHER = {"max": "keys_max", "min": "keys_min", "until": "until", "between": "between_s", "within": "within_s"}


def read_answer(answer: Mapping[str, Any]) -> tuple[Instruction, ...]:
    """The instructions that an answer in plain words gives, in the order in which they are done. Raises ``Refused``."""
    for name in answer:
        if name not in NAMES:
            raise Refused("call.answer", f"An answer has no {str(name)[:40]!r}{closest(str(name), NAMES)}")
    locale = str(answer.get("locale") or "")
    made: list[Instruction] = []
    phones = answer.get("phones")
    if answer.get("record") and not phones:
        made.append(told.Record())
    spoken = _prompts(answer.get("play"), answer.get("say"), locale)
    if answer.get("gather"):
        made.append(_gather(answer["gather"], spoken))
    else:
        made += [told.Speak(prompt=prompt) for prompt in spoken]
    if phones:
        made.append(_dial(answer, phones if isinstance(phones, list | tuple) else [phones], locale))
    if answer.get("code") is not None:
        made.append(told.Code(code=_whole(answer["code"])))
    if answer.get("redirect"):
        made.append(told.Redirect(to=str(answer["redirect"])))
    hang_up = answer.get("hang_up")
    if hang_up not in (None, False, ""):
        made.append(told.HangUp(reason="" if hang_up is True else str(hang_up)[:200]))
    return checked(made)


def _prompts(play: Any, say: Any, locale: str) -> tuple[Spoken, ...]:
    files = [File(str(one)) for one in _several(play)]
    return (*files, *(Say(str(one), locale) for one in _several(say)))


def _dial(answer: Mapping[str, Any], phones: list[Any] | tuple[Any, ...], locale: str) -> told.Dial:
    ring = answer.get("ring")
    ring_s = 25.0 if ring is None else float(_whole(ring))
    if not 1 <= ring_s <= 180:
        raise Refused("call.answer", "ring: is 1 to 180 seconds.")
    return told.Dial(
        numbers=tuple(told.dialled(phone) for phone in phones),
        at_once=answer.get("at_once") is True,
        caller_id=told.dialled(answer["caller_id"]) if answer.get("caller_id") else "",
        hint=_prompts(answer.get("hint_file"), answer.get("hint"), locale),
        ring_s=ring_s,
        record=answer.get("record") is True,
    )


def _gather(wanted: Any, prompts: tuple[Spoken, ...]) -> told.Gather:
    if wanted is True:
        return told.Gather(prompts=prompts)
    if not isinstance(wanted, Mapping):
        raise Refused("call.answer", f"gather: is true, or an object with {', '.join(_GATHER)}.")
    fields: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in _GATHER:
            raise Refused("call.answer", f"gather: has no {str(name)[:40]!r}{closest(str(name), _GATHER)}")
        fields[_GATHER[name]] = str(value or "") if name == "until" else _whole(value)
    for name in ("between_s", "within_s"):
        if name in fields:
            if not 1 <= fields[name] <= 300:
                raise Refused("call.answer", "between: and within: are 1 to 300 seconds.")
            fields[name] = float(fields[name])
    return told.Gather(prompts=prompts, **fields)


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _whole(value: Any) -> int:
    try:
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise Refused("call.answer", f"{str(value)[:40]!r} is no whole number.") from None
