"""How quick a turn of a run is: the best of several, five times what it takes on a quiet machine."""

import timeit

from beckon.core.contact import Contact
from beckon.flows.advance import Matched, Started, advance, begin
from beckon.flows.definition import Flow
from beckon.flows.matching import keys_of
from beckon.flows.run import decode_run, encode_run
from tests.rooms.flows.stage import NOW_MS, event_of, flow_of

ANN = Contact(id="con_ann", workspace="wks", name="Ann")
START = event_of(
    data={"visit": "V-17", "slug": "abc", "contact": {"id": "con_ann", "name": "Ann", "phone": "+32470000000"}}
)
SEND = """
- send: invite
  to: "{{ event.data.contact }}"
  with: { a: "{{ event.data.slug }}", b: "{{ event.data.visit }}", c: "{{ event.data.contact.name }}" }
"""
WAIT = """
- wait_for: checkin.finished
  match: { visit: "{{ event.data.visit }}" }
  timeout: 24h
  save: result
"""


def best_us(turn: object) -> float:
    return min(timeit.repeat(turn, number=300, repeat=7)) / 300 * 1e6  # type: ignore[arg-type]


def turn_of(flow: Flow) -> bytes:
    run = begin(flow, START, ANN, NOW_MS)
    assert run is not None
    assert advance(flow, run, Started(), NOW_MS, ANN).error is None
    return encode_run(run)


def test_a_start_and_a_message_take_little_time() -> None:
    """13 µs when it was written; asked for: 40."""
    flow = flow_of(SEND)
    assert best_us(lambda: turn_of(flow)) < 200


def test_a_start_a_message_and_a_wait_take_little_time() -> None:
    """18 µs when it was written; asked for: 50."""
    flow = flow_of(SEND + WAIT)
    assert best_us(lambda: turn_of(flow)) < 250


def test_a_match_takes_little_time() -> None:
    """20 µs when it was written, reading the run's row among it; asked for: 40."""
    flow = flow_of(WAIT + '- post: { results: "{{ result.data }}" }\n- notify: advisors')
    row = turn_of(flow)
    finished = event_of("checkin.finished", {"visit": "V-17", "mileage": 3}, position=2)

    def turn() -> None:
        done = advance(flow, decode_run(row), Matched(finished), NOW_MS, ANN)
        assert len(done.commands) == 2

    assert best_us(turn) < 200
    assert best_us(lambda: keys_of(flow.shapes, finished, ANN.id)) < 20
