"""The diagram: well-formed, complete, lit where a run went, and harmless whatever stands in a flow."""

import json
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from beckon import journeys
from beckon.core.blocks import ANY_ROOM
from beckon.core.drawing import text_width, wrap
from beckon.flows.definition import parse_flow
from beckon.flows.diagram import STYLE, draw, draw_run
from tests.rooms.flows.stage import Play, flow_of

SVG = "{http://www.w3.org/2000/svg}"
ALL = """
- set: { colour: red }
- send: checkin_invite
  fallback_after: 10m
  on_undeliverable: [ { notify: advisors }, { stop: unreachable } ]
- if: event.data.visit == 'V-17'
  then: [ { note: "a" } ]
  else: [ { call: cases.file, on_error: [ { note: b } ] } ]
- choose:
    - { when: event.data.slug == 'a', name: Video, then: [ { send: video } ] }
    - { when: event.data.slug == 'b', then: [] }
  else: [ { assign: sales } ]
- for_each: "{{ event.data.l }}"
  do: [ { send: { text: "See {{ item }}" } }, { if: "true", then: [ { emit: a.b } ] } ]
- wait: { until: "09:00", hours: "Mon-Fri 09:00-18:00" }
- wait_for: checkin.finished
  match: { visit: "{{ event.data.visit }}" }
  timeout: 24h
  on_timeout: [ { stop: expired } ]
- http: "https://x.example/{{ event.data.visit }}"
- post: { results: { a: 1 } }
"""


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def cards(svg: str) -> dict[str, str]:
    return {
        group.attrib["data-step"]: group.attrib["class"]
        for group in parsed(svg).iter(f"{SVG}g")
        if "data-step" in group.attrib
    }


def test_every_step_has_its_card() -> None:
    flow = flow_of(ALL)
    svg = draw(flow)
    assert set(cards(svg)) == set(flow.by_path)
    root = parsed(svg)
    assert re.fullmatch(r"-?[\d.]+ 0 [\d.]+ [\d.]+", root.attrib["viewBox"])
    assert root.attrib["role"] == "img"


#: A page on a desk and one in a hand, and no limit.
ROOMS = (ANY_ROOM, 827.0, 405.0)
JOURNEYS = Path(journeys.__file__).parent
SHIPPED = sorted(JOURNEYS.glob("*/flows/*.yaml"))


def boxes(root: ElementTree.Element, kind: str = "") -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of everything that is drawn as a box."""
    found = []
    for rect in root.iter(f"{SVG}rect"):
        if kind in rect.attrib.get("class", ""):
            left, top = float(rect.attrib["x"]), float(rect.attrib["y"])
            found.append((left, top, left + float(rect.attrib["width"]), top + float(rect.attrib["height"])))
    return found


def lines(root: ElementTree.Element) -> list[tuple[float, float]]:
    """The corners of all edges."""
    paths = [path.attrib["d"] for path in root.iter(f"{SVG}path") if "bf-edge" in path.attrib.get("class", "")]
    return [(float(x), float(y)) for path in paths for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("text", [ALL, *SHIPPED], ids=lambda text: text.stem if isinstance(text, Path) else "all")
def test_everything_lies_within_the_picture_and_no_cards_overlap(text: str | Path, room: float) -> None:
    flow = flow_of(text) if isinstance(text, str) else parse_flow(text.read_text())
    root = parsed(draw(flow, room=room))
    assert {group.attrib["data-step"] for group in root.iter(f"{SVG}g") if "data-step" in group.attrib} == set(
        flow.by_path
    )
    x, y, width, height = (float(number) for number in root.attrib["viewBox"].split())
    assert width <= room
    for left, top, right, bottom in boxes(root):
        assert x <= left
        assert right <= x + width
        assert y <= top
        assert bottom <= y + height
    for at_x, at_y in lines(root):
        assert x <= at_x <= x + width
        assert y <= at_y <= y + height
    cards = boxes(root, "bf-card")
    for one, other in combinations(cards, 2):
        assert apart(one, other), (one, other)
    for chip in chips(root):
        assert all(apart(chip, card) for card in cards), chip


def chips(root: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """The labels on edges."""
    groups = [group for group in root.iter(f"{SVG}g") if "bf-chip" in group.attrib.get("class", "")]
    return [box for group in groups for box in boxes(group)]


def test_what_is_nested_too_deeply_for_a_page_is_wider_and_still_whole() -> None:
    text = "- note: deep"
    for _ in range(8):
        inner = text.replace("\n", "\n    ")
        text = f"- if: event.data.visit == 'V-17'\n  then:\n    {inner}\n  else:\n    - note: no"
    flow = flow_of(text)
    root = parsed(draw(flow, room=405))
    width = float(root.attrib["viewBox"].split()[2])
    assert 405 < width < float(parsed(draw(flow)).attrib["viewBox"].split()[2])
    for one, other in combinations(boxes(root, "bf-card"), 2):
        assert apart(one, other), (one, other)


def test_the_way_of_a_run_is_the_same_in_a_hand() -> None:
    flow = flow_of(ALL)
    play = Play(flow, {"visit": "V-17", "slug": "b", "l": ["x"]})
    play.outcome("message.delivered", {})
    assert cards(draw_run(flow, play.run, room=405)) == cards(draw_run(flow, play.run))
    wide, narrow = (draw_run(flow, play.run, room=room).count("bf-edge is-taken") for room in (ANY_ROOM, 405))
    assert wide == narrow


def test_the_way_of_a_run_is_lit_and_the_step_in_hand_most() -> None:
    flow = flow_of(ALL)
    play = Play(flow, {"visit": "V-17", "slug": "b", "l": ["x"]})
    play.outcome("message.delivered", {})
    svg = draw_run(flow, play.run)
    states = cards(svg)
    assert states["steps.0"] == "bf-step is-taken"
    assert states["steps.1.on_undeliverable.0"] == "bf-step"
    assert states["steps.2.then.0"] == "bf-step is-taken"
    assert states["steps.2.else.0"] == "bf-step"
    assert states["steps.5"] == "bf-step is-current"
    assert "event.data.visit == &#39;V-17&#39; holds" in svg or "event.data.visit == 'V-17' holds" in svg
    assert svg.count("bf-halo") > 1


def test_a_failed_step_is_marked_and_those_not_reached_step_back() -> None:
    flow = flow_of("- note: '{{ event.data.nothing }}'\n- note: b")
    states = cards(draw_run(flow, Play(flow).run))
    assert states == {"steps.0": "bf-step is-taken is-failed", "steps.1": "bf-step is-passed-by"}


def test_a_run_that_is_done_lights_the_end() -> None:
    flow = flow_of("- note: a")
    root = parsed(draw_run(flow, Play(flow).run))
    pills = [group.attrib["class"] for group in root.iter(f"{SVG}g") if "bf-pill" in group.attrib.get("class", "")]
    assert pills == ["bf-pill is-taken", "bf-pill is-taken"]


@pytest.mark.parametrize(
    "text",
    [
        "</text><script>alert(1)</script>",
        "\" onload='alert(1)' x=\"",
        "]]><!-- & < > -->",
        "\u0001\u000b\ufffe￿",
        "x" * 3_000,
        "مرحبا 你好 🚗" * 50,
    ],
)
def test_texts_are_harmless(text: str) -> None:
    flow = flow_of(f"- note: {json.dumps(text)}\n  name: {json.dumps(text[:400])}\n- stop: {json.dumps(text)}")
    svg = draw_run(flow, Play(flow).run)
    root = parsed(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]


def test_the_style_can_be_served_by_the_page_and_the_scheme_insisted_on() -> None:
    flow = flow_of("- note: a")
    assert STYLE in draw(flow)
    assert "<style>" not in draw(flow, styled=False)
    assert 'class="beckon-flow bf-dark"' in draw(flow, dark=True)
    assert 'class="beckon-flow bf-light"' in draw(flow, dark=False)


def test_an_empty_flow_is_a_beginning_and_an_end() -> None:
    assert parsed(draw(flow_of("[]"))) is not None
    assert "bf-pill" in draw(flow_of("[]"))


def test_lines_fit_and_the_last_ends_in_an_ellipsis() -> None:
    lines = wrap("a rather long sentence about a car that is ready to be fetched", 12, 100, 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(text_width(line, 12) <= 100 for line in lines)
    assert all(text_width(line, 12) <= 100 for line in wrap("x" * 200, 12, 100, 5))
    assert wrap("", 12, 100, 2) == []
