"""A business's colour is used as far as it can be read: white on it, it on its grounds, in both schemes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beckon.journeys.loyalty_offers.page.look import contrast, sheet

_WHITE, _NIGHT, _DARK_GROUND, _LIGHT_GROUND = (255,) * 3, (0x17, 0x18, 0x1C), (0x0F, 0x10, 0x13), (0xF6, 0xF6, 0xF8)


@given(st.from_regex(r"[0-9a-f]{6}", fullmatch=True))
@example("000000")
@example("ffffff")
@example("ffff00")
@example("0000ff")
@example("1f5eff")
def test_whatever_the_colour_is_everything_can_be_read(colour: str):
    light, dark = sheet(colour).split("@media")
    for scheme, grounds in ((light, (_LIGHT_GROUND, _WHITE)), (dark, (_DARK_GROUND, _NIGHT))):
        said = {
            name: (int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16))
            for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]{6});", scheme)
        }
        for name in ("accent", "accent-hover", "wallet-from", "wallet-to"):
            assert contrast(_WHITE, said[name]) >= 4.5, (name, colour)
        for ground in (*grounds, said["accent-soft"]):
            assert contrast(said["accent-text"], ground) >= 4.5, (ground, colour)
        assert contrast(said["accent"], grounds[1]) >= 3, colour


@pytest.mark.parametrize("colour", ["", "fff", "1f5eff;}", "1F5EFF", "ggffff", "1f5eff0"])
def test_what_is_no_colour_is_none(colour: str):
    with pytest.raises(ValueError):
        sheet(colour)
