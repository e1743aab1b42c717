"""Rehearsal: a scripted state machine that answers in place of the system that is still to be written. Pure.

    start: known
    states:
      known:
        - answer: { code: 1 }
          then: order
      order:
        - when: { digits: "4711" }
          answer: { phones: ["+3225550101"], hint: A courier., record: true }
          then: order
        - when: { digits: ["4712", "4713"] }
          fault: slow
        - answer: { code: 2 }

Each call (by its session) stands in a state; the first rule of the state that fits answers, and says where it stands
then. Answers are those of a flow's ``answer:``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from beckon.core.errors import Refused
from beckon.core.measures import closest
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.journeys.call_processing.dialect import Asked
from beckon.telephony.answers import read_answer

STATES_MAX = 100
RULES_MAX = 200
#: What may go wrong on purpose, for people.
FAULTS = {
    "slow": "Slow: the answer comes too late",
    "dead": "Dead: the connection ends without one",
    "500": "500: the system has a fault",
    "wrong_json": "Wrong: the answer can't be read",
    "unknown_code": "Unknown: a code, or a verb, that nobody knows",
}
#: What a rule may look at.
_FACTS = ("caller", "called", "digits", "direction", "dialled")
_RULE = ("when", "answer", "fault", "then")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: what must hold, what is answered or goes wrong, where the call stands then."""

    when: dict[str, tuple[str, ...]] = {}
    answer: dict[str, Any] = {}
    fault: str = ""
    then: str = ""


class Machine(msgspec.Struct, frozen=True):
    """The states, each with its rules in order."""

    start: str
    states: dict[str, tuple[Rule, ...]]

    def answer(self, state: str, asked: Asked) -> tuple[Rule, str]:
        """The rule that answers a call in this state, and where it stands then. Raises ``Refused`` where none fits."""
        state = state if state in self.states else self.start
        for rule in self.states[state]:
            if all(getattr(asked, name) in values for name, values in rule.when.items()):
                return rule, rule.then or state
        raise Refused("rehearsal.no_rule", f"no rule of the state {state!r} fits this question")


def read_machine(text: str) -> Machine:
    """Read a machine from YAML. Raises ``Refused`` with the line."""
    try:
        located = read_yaml(text)
    except YamlProblem as problem:
        raise Refused("rehearsal.yaml", f"Line {problem.line}: {problem.why}", field="machine") from None
    raw, lines = located.value, located.lines

    def wrong(path: str, why: str) -> Refused:
        while path and path not in lines:
            path = path.rpartition(".")[0]
        return Refused("rehearsal.form", f"Line {lines.get(path, 1)}: {why}", field="machine")

    states = raw.get("states") if isinstance(raw, dict) else None
    if not isinstance(states, dict) or not 1 <= len(states) <= STATES_MAX:
        raise wrong("states", f"states: is an object of 1 to {STATES_MAX} states, each a list of rules.")
    read: dict[str, tuple[Rule, ...]] = {}
    for name, rules in states.items():
        if not isinstance(rules, list) or len(rules) > RULES_MAX:
            raise wrong(f"states.{name}", f"A state is a list of at most {RULES_MAX} rules.")
        made = []
        for number, rule in enumerate(rules):
            path = f"states.{name}.{number}"
            try:
                made.append(_rule(rule, states))
            except Refused as problem:
                raise wrong(path, problem.why) from None
        read[str(name)] = tuple(made)
    start = str(raw.get("start") or next(iter(read)))
    if start not in read:
        raise wrong("start", f"There is no state {start[:40]!r}.")
    return Machine(start, read)


def _rule(raw: Any, states: Mapping[Any, Any]) -> Rule:
    if not isinstance(raw, dict):
        raise Refused("rehearsal.rule", "A rule is an object with answer or fault, and when and then.")
    for name in raw:
        if name not in _RULE:
            raise Refused("rehearsal.rule", f"A rule has no {str(name)[:40]!r}{closest(str(name), _RULE)}")
    when = raw.get("when") or {}
    if not isinstance(when, dict) or not set(when) <= set(_FACTS):
        raise Refused("rehearsal.rule", f"when: looks at {', '.join(_FACTS)}.")
    answer, fault, then = raw.get("answer", {}), str(raw.get("fault") or ""), str(raw.get("then") or "")
    if not isinstance(answer, dict):
        raise Refused("rehearsal.rule", "answer: is an object.")
    if fault and fault not in FAULTS:
        raise Refused("rehearsal.rule", f"fault: is one of {', '.join(FAULTS)}.")
    if then and then not in states:
        raise Refused("rehearsal.rule", f"There is no state {then[:40]!r}.")
    read_answer(answer)
    values = {
        name: tuple(map(str, value)) if isinstance(value, list) else (str(value),) for name, value in when.items()
    }
    return Rule(when=values, answer=answer, fault=fault, then=then)
