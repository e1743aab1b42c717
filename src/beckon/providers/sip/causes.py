"""SIP's final answers as the causes that every switch knows, and back. Pure."""

from beckon.telephony.switch import Cause

_CAUSES: dict[int, Cause] = {
    401: "not_allowed",
    402: "not_allowed",
    403: "not_allowed",
    404: "not_found",
    407: "not_allowed",
    408: "no_answer",
    410: "not_found",
    415: "no_codec",
    480: "unreachable",
    484: "not_found",
    486: "busy",
    487: "cancelled",
    488: "no_codec",
    503: "congestion",
    600: "busy",
    603: "declined",
    604: "not_found",
    606: "no_codec",
}
_STATUSES: dict[Cause, int] = {
    "normal": 480,
    "busy": 486,
    "declined": 603,
    "no_answer": 480,
    "cancelled": 480,
    "not_found": 404,
    "unreachable": 480,
    "not_allowed": 403,
    "no_codec": 488,
    "silence": 480,
    "too_long": 480,
    "congestion": 503,
    "failed": 500,
    "switch_down": 503,
}


def cause_of(status: int) -> Cause:
    """Why a leg ended with this final answer; 0: it was answered before, and somebody hung up."""
    return "normal" if status == 0 else _CAUSES.get(status, "failed")


def status_of(cause: Cause) -> int:
    """How a leg that isn't answered is refused."""
    return _STATUSES[cause]
