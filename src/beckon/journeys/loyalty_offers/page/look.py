"""Look: a business's colour as a style sheet for its members' page, changed no more than reading asks for. Pure.

Whatever the colour, white on it, it on its grounds and its soft ground under text have the contrast of WCAG 2.2 AA in
both schemes; the tests go through colours at random.
"""

import re
from functools import lru_cache

#: #rrggbb, without the sign
HEX = re.compile(r"[0-9a-f]{6}")
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
#: the grounds of web/static/css/tokens.css: the dark scheme's surface
_NIGHT = (0x17, 0x18, 0x1C)
_TEXT, _SHAPE = 4.6, 3.05

Colour = tuple[int, int, int]


@lru_cache(maxsize=256)
def sheet(colour: str) -> str:
    """The sheet for a colour such as ``1f5eff``. Raises ``ValueError`` for what is none."""
    if not HEX.fullmatch(colour):
        raise ValueError(f"{colour[:20]!r} is no colour")
    brand = (int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16))
    light, dark = _light(brand), _dark(brand)
    return (
        f"@layer area {{\n:root {{ {_written(light)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_written(dark)} }} }}\n}}\n"
    )


def _light(brand: Colour) -> dict[str, Colour]:
    accent = _until(brand, _BLACK, _WHITE, _TEXT)
    soft = _mixed(accent, _WHITE, 0.9)
    text = _until(accent, _BLACK, soft, _TEXT)
    return {**_shared(accent), "accent-soft": soft, "accent-line": _mixed(accent, _WHITE, 0.7), "accent-text": text,
            "focus": text}  # fmt: skip


def _dark(brand: Colour) -> dict[str, Colour]:
    # Between the two bounds there is room: as dark as white text asks, and as light as the night around it asks.
    accent = _until(_until(brand, _WHITE, _NIGHT, _SHAPE), _BLACK, _WHITE, _TEXT)
    soft = _mixed(accent, _NIGHT, 0.72)
    text = _until(accent, _WHITE, soft, _TEXT)
    return {**_shared(accent), "accent-soft": soft, "accent-line": _mixed(accent, _NIGHT, 0.45), "accent-text": text,
            "focus": text}  # fmt: skip


def _shared(accent: Colour) -> dict[str, Colour]:
    return {
        "accent": accent,
        "accent-hover": _mixed(accent, _BLACK, 0.12),
        "wallet-from": _mixed(accent, _BLACK, 0.08),
        "wallet-to": _mixed(accent, _BLACK, 0.38),
    }


def _until(colour: Colour, towards: Colour, ground: Colour, ratio: float) -> Colour:
    """The colour, moved towards another in small steps until it stands out from its ground."""
    for step in range(101):
        moved = _mixed(colour, towards, step / 100)
        if contrast(moved, ground) >= ratio:
            return moved
    return towards


def contrast(one: Colour, other: Colour) -> float:
    """WCAG's contrast ratio."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    shares = [value / 255 for value in colour]
    red, green, blue = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _written(colours: dict[str, Colour]) -> str:
    return " ".join(f"--{name}: #{red:02x}{green:02x}{blue:02x};" for name, (red, green, blue) in colours.items())
