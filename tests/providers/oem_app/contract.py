"""A maker's app, as the contract suite tries it."""

from tests.contracts.case import Case

CASE = Case(
    address="gcid-7a1f",
    bad_address="two words",
    signature_header="X-Dealer-Signature",
    replay_window_s=300,
    idempotent=True,
    errors={
        "USER_UNKNOWN": "refused",
        "USER_OPTED_OUT": "refused",
        "USER_UNREACHABLE": "refused",
        "INVALID_REQUEST": "refused",
        "CONTENT_TOO_LONG": "unsupported",
        "ACTION_NOT_ALLOWED": "unsupported",
        "THROTTLED": "unavailable",
        "MAINTENANCE": "unavailable",
        "DEALER_NOT_ENABLED": "misconfigured",
        "SIGNATURE_INVALID": "misconfigured",
        "KEY_INVALID": "misconfigured",
    },
)
