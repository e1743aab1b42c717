"""A pass opens one member's page until it expires; a code on the screen is what a scanner reads."""

import re

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from beckon.journeys.loyalty_offers.page.passes import PASS_MAX, Pass, form_token, read_pass, write_pass
from beckon.journeys.loyalty_offers.page.qr import qr

KEY = b"k" * 32


def scanned(svg: str, scale: int = 4) -> list[str]:
    """What a scanner reads off the drawing."""
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


@given(
    st.sampled_from(["main", "fancy.fries", "a-b"]),
    st.from_regex(r"mem_[0-9a-z]{1,40}", fullmatch=True),
    st.integers(0, 2**42),
)
def test_a_pass_says_whose_it_is_and_until_when(workspace: str, member: str, expires_ms: int):
    written = write_pass(KEY, workspace, member, expires_ms)
    assert len(written) <= PASS_MAX
    assert re.fullmatch(r"[A-Za-z0-9._-]+", written)
    assert read_pass(KEY, written) == Pass(workspace, member, expires_ms // 1000 * 1000)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("mem_1", "mem_2"),
        lambda text: text.replace("main", "other"),
        lambda text: "x" + text,
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: text.rpartition(".")[0],
        lambda text: "",
        lambda text: "....",
        lambda text: text + "é",
        lambda text: text * 50,
    ],
)
def test_whoever_writes_a_pass_themselves_is_not_let_in(change):  # type: ignore[no-untyped-def]
    written = write_pass(KEY, "main", "mem_1", 1_800_000_000_000)
    assert read_pass(KEY, change(written)) is None
    assert read_pass(b"another key", written) is None


def test_a_forms_token_is_good_for_its_own_pass_alone():
    one, other = (write_pass(KEY, "main", member, 1_800_000_000_000) for member in ("mem_1", "mem_2"))
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
