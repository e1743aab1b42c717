"""Days, times and amounts as people say them, in the languages that we speak. Pure.

A message that says ``2026-03-03T08:30:00Z`` is no message. ``day`` says *Tuesday 3 March*, ``time`` says *09:30* in the
reader's time zone, ``money`` puts the sign and the separators where the reader looks for them. Unknown languages read
English.
"""

from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from beckon.core.errors import Refused

_DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "nl": "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "sv": "måndag tisdag onsdag torsdag fredag lördag söndag",
    "no": "mandag tirsdag onsdag torsdag fredag lørdag søndag",
}
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "no": "januar februar mars april mai juni juli august september oktober november desember",
}
_DAY_FORMS = {"de": "{day}, {date}. {month}", "es": "{day}, {date} de {month}", "no": "{day} {date}. {month}"}
_DAY_FORM = "{day} {date} {month}"

#: what parts thousands, what parts decimals, whether the currency comes first.
_AMOUNTS = {
    "en": (",", ".", True),
    "fr": ("\u202f", ",", False),
    "de": (".", ",", False),
    "nl": (".", ",", True),
    "it": (".", ",", False),
    "es": (".", ",", False),
    "sv": ("\u00a0", ",", False),
    "no": ("\u00a0", ",", False),
}
_SIGNS = {"EUR": "€", "GBP": "£", "USD": "$", "SEK": "kr", "NOK": "kr", "DKK": "kr"}
_SAME = {"nb": "no", "nn": "no"}
#: currencies without cents.
_WHOLE = frozenset({"ISK", "JPY", "KRW", "HUF"})

AMOUNT_MAX = Decimal(10) ** 15
#: A number below this one counts seconds since 1970, and not milliseconds.
SECONDS_MAX = 10**11


def language(locale: str) -> str:
    """The language of ours that serves this locale: ``nl-BE`` → ``nl``, ``nb`` → ``no``, unknown → ``en``."""
    first = locale.split("-", 1)[0].lower()
    first = _SAME.get(first, first)
    return first if first in _DAYS else "en"


@lru_cache(maxsize=128)
def zone(name: str) -> tzinfo:
    """The time zone of this IANA name; UTC for none. Raises ``Refused`` for a name that is none."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refused("time.zone", f"{name[:60]!r} is no time zone; write one like Europe/Brussels.") from None


def moment(value: object, time_zone: str) -> datetime:
    """Read an instant (RFC 3339, or epoch seconds or milliseconds) or a day, in this time zone. Raises ``Refused``."""
    here = zone(time_zone)
    try:
        if isinstance(value, bool):
            raise ValueError
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= SECONDS_MAX else value, here)
        if isinstance(value, datetime):
            return value.astimezone(here) if value.tzinfo else value.replace(tzinfo=here)
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=here)
        read = datetime.fromisoformat(str(value).strip()[:40])
    except (ValueError, OverflowError, OSError):
        raise Refused(
            "time.instant", f"{str(value)[:40]!r} is no day or instant; write one like 2026-03-03T09:30:00+01:00."
        ) from None
    # Without an offset, or without a time, it is meant where it is read.
    return read.astimezone(here) if read.tzinfo else read.replace(tzinfo=here)


def day(value: object, locale: str, time_zone: str) -> str:
    """*Tuesday 3 March* in the reader's words."""
    at = moment(value, time_zone)
    words = language(locale)
    return _DAY_FORMS.get(words, _DAY_FORM).format(
        day=_DAYS[words].split(" ")[at.weekday()], date=at.day, month=_MONTHS[words].split(" ")[at.month - 1]
    )


def time(value: object, time_zone: str) -> str:
    """*09:30* on the reader's clock."""
    return f"{moment(value, time_zone):%H:%M}"


def money(value: object, currency: str, locale: str) -> str:
    """*€ 1.234,50* as the reader writes it. Takes a number or a text such as ``1234.5``. Raises ``Refused``."""
    try:
        amount = Decimal(str(value).strip()[:40])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
        raise Refused("money.amount", f"{str(value)[:40]!r} is no amount of money; write one like 129.90.")
    code = currency.strip().upper()[:3]
    thousands, decimals, first = _AMOUNTS[language(locale)]
    written = f"{abs(amount):,.0f}" if code in _WHOLE else f"{abs(amount):,.2f}"
    written = written.replace(",", "\0").replace(".", decimals).replace("\0", thousands)
    sign = _SIGNS.get(code, code)
    minus = "-" if amount < 0 else ""
    if not sign:
        return minus + written
    if not first:
        return f"{minus}{written}\u00a0{sign}"
    gap = "" if len(sign) == 1 and language(locale) == "en" else "\u00a0"
    return f"{minus}{sign}{gap}{written}"
