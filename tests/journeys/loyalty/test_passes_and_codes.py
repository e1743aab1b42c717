"""A form belongs to one pass; a code on the screen is what a scanner reads."""

import re

import pytest
import zxingcpp

from beckon.journeys.loyalty_offers.page.passes import form_token
from beckon.journeys.loyalty_offers.page.qr import qr
from beckon.journeys.loyalty_offers.tokens import token_for

KEY = b"k" * 32


def scanned(svg: str, scale: int = 4) -> list[str]:
    """What a scanner reads off the drawing, or off a page's."""
    svg = svg[svg.find('<svg class="qr"') :].partition("</svg>")[0]
    found = re.search(r'viewBox="0 0 (\d+)', svg)
    assert found is not None
    size = int(found[1])
    dots = bytearray(b"\xff" * (size * scale) ** 2)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1", svg):
        for row in range(int(y) * scale, (int(y) + 1) * scale):
            begin = row * size * scale + int(x) * scale
            dots[begin : begin + int(width) * scale] = bytes(int(width) * scale)
    picture = memoryview(dots).cast("B", (size * scale, size * scale))
    return [one.text for one in zxingcpp.read_barcodes(picture)]


def test_a_forms_token_is_good_for_its_own_pass_alone():
    one, other = (token_for("main", member, KEY, 1_800_000_000_000) for member in ("mem_1", "mem_2"))
    assert form_token(KEY, one) == form_token(KEY, one) != form_token(KEY, other)
    assert form_token(KEY, one) not in one


@pytest.mark.parametrize("code", ["off_0a1b2c3d4e5f6g7h8j9k", "FRIES-20", "x", "a" * 200])
def test_a_scanner_reads_the_code_off_the_screen(code: str):
    svg = str(qr(code, 'Your "code"'))
    assert scanned(svg) == [code]
    assert 'role="img" aria-label="Your &#34;code&#34;"' in svg
    assert "style" not in svg


@pytest.mark.parametrize("code", ["", "a" * 201, "é"])
def test_a_code_has_its_limits(code: str):
    with pytest.raises(ValueError):
        qr(code, "x")
