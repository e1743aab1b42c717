"""The colours: text can be read on its ground in both schemes (WCAG 2.2 AA)."""

import re

import pytest

from beckon.web.static import folders

CSS = (folders("static")["web"] / "css" / "tokens.css").read_text()

#: text, ground, the least contrast.
PAIRS = [
    ("text", "bg", 4.5),
    ("text", "surface", 4.5),
    ("text", "sunken", 4.5),
    ("text", "raised", 4.5),
    ("text", "accent-soft", 4.5),
    ("text", "note-soft", 4.5),
    ("text-2", "bg", 4.5),
    ("text-2", "surface", 4.5),
    ("text-2", "sunken", 4.5),
    ("text-3", "bg", 4.5),
    ("text-3", "surface", 4.5),
    ("text-3", "sunken", 4.5),
    ("accent-text", "bg", 4.5),
    ("accent-text", "surface", 4.5),
    ("accent-text", "accent-soft", 4.5),
    ("on-accent", "accent", 4.5),
    ("good", "good-soft", 4.5),
    ("good", "surface", 4.5),
    ("warn", "warn-soft", 4.5),
    ("bad", "bad-soft", 4.5),
    ("bad", "surface", 4.5),
    ("bad", "bg", 4.5),
    ("on-bad", "bad", 4.5),
    ("note", "note-soft", 4.5),
    ("line-strong", "surface", 3.0),
    ("focus", "surface", 3.0),
    ("focus", "bg", 3.0),
    ("accent", "surface", 3.0),
]


def schemes() -> dict[str, dict[str, str]]:
    light, dark = CSS.split("@media (prefers-color-scheme: dark)")
    colours = [dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", half)) for half in (light, dark)]
    return {"light": colours[0], "dark": colours[0] | colours[1]}


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_the_guideline_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground", "least"), PAIRS)
def test_text_can_be_read_on_its_ground(scheme: str, text: str, ground: str, least: float):
    colours = schemes()[scheme]
    assert contrast(colours[text], colours[ground]) >= least


def test_the_dark_scheme_has_every_colour_of_the_light_one():
    light, dark = CSS.split("@media (prefers-color-scheme: dark)")
    names = [set(re.findall(r"--([a-z0-9-]+): #", half)) for half in (light, dark)]
    assert names[0] == names[1]
