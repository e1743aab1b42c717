"""Money as integers of a currency's minor unit, and parting an amount so that nothing is lost. Pure.

The exponents are ISO 4217's: 2 unless said otherwise here. A sum is never a float past a door: what a till sends as
``9.99`` becomes 999 at once, and what has more decimals than its currency is refused.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from beckon.core.errors import Refused

#: No amount is larger than this, in minor units: what sums of it is still exact in 64 bits, and in a double.
AMOUNT_MAX = 10**13

#: ISO 4217's currencies by how many decimals they have.
_BY_DECIMALS: dict[int, tuple[str, ...]] = {
    0: ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",),
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC",
        "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR",
        "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD",
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN",
        "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    3: ("BHD IQD JOD KWD LYD OMR TND",),
    4: ("CLF UYW",),
}
_EXPONENTS = {code: decimals for decimals, lines in _BY_DECIMALS.items() for line in lines for code in line.split()}


#: decimals → minor units in one of the currency
_SCALES = (1, 10, 100, 1_000, 10_000)


def exponent(currency: str) -> int:
    """How many decimals a currency has. Raises ``Refused`` for one that ISO 4217 does not know."""
    found = _EXPONENTS.get(currency)
    if found is None:
        raise Refused("money.currency", f"{currency[:20]!r} is no currency of ISO 4217", field="currency")
    return found


def minor(amount: float | int | str, decimals: int, field: str = "amount") -> int:
    """An amount as it is written, in minor units: ``9.99`` → 999. Raises ``Refused`` where that loses something."""
    if type(amount) is float:
        scaled = amount * _SCALES[decimals]
        if not -AMOUNT_MAX < scaled < AMOUNT_MAX:  # infinities and what is no number, too
            raise Refused("money.size", "the amount is too large, or no number", field=field)
        whole = round(scaled)
        if abs(scaled - whole) > 1e-4:
            raise Refused("money.decimals", f"the amount has more than {decimals} decimals", field=field)
        return whole
    if type(amount) is int:
        if not -AMOUNT_MAX < amount * _SCALES[decimals] < AMOUNT_MAX:
            raise Refused("money.size", "the amount is too large", field=field)
        return amount * _SCALES[decimals]
    return _from_text(str(amount), decimals, field)


def _from_text(text: str, decimals: int, field: str) -> int:
    try:
        value = Decimal(text[:40].strip()).scaleb(decimals)
        whole = int(value)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Refused("money.number", f"{text[:40]!r} is no amount", field=field) from error
    if value != whole:
        raise Refused("money.decimals", f"the amount has more than {decimals} decimals", field=field)
    if not -AMOUNT_MAX < whole < AMOUNT_MAX:
        raise Refused("money.size", "the amount is too large", field=field)
    return whole


def major(amount: int, decimals: int) -> float | int:
    """Minor units as JSON writes them to tills: 999 → 9.99, and an int where there are no decimals."""
    return amount if decimals == 0 else amount / 10**decimals


def written(amount: int, currency: str) -> str:
    """An amount for people in logs and reasons: ``9.99 USD``."""
    decimals = exponent(currency)
    if decimals == 0:
        return f"{amount} {currency}"
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d} {currency}"


def percent_of(amount: int, hundredths: int) -> int:
    """A share of an amount, in hundredths of a percent, half away from zero: 15 % of 999 is 150."""
    return proportion(amount, hundredths, 10_000)


def proportion(amount: int, part: int, whole: int) -> int:
    """``amount × part ÷ whole``, rounded half away from zero; 0 of nothing."""
    if whole == 0:
        return 0
    product = amount * part
    if whole < 0:
        product, whole = -product, -whole
    sign = -1 if product < 0 else 1
    return sign * ((2 * abs(product) + whole) // (2 * whole))


def parted(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` parted by ``weights``; the parts sum to it: by largest remainder, the first of equals first."""
    total = sum(weights)
    if total <= 0:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    left = amount - sum(parts)
    order = sorted(range(len(weights)), key=lambda index: (-(amount * weights[index] % total), index))
    for index in order[:left]:
        parts[index] += 1
    return parts
