"""Web Push, as the contract suite tries it."""

from beckon.sandbox.twins.web_push import address_of
from tests.contracts.case import Case

CASE = Case(
    address=address_of("http://sandbox.test", "ann"),
    bad_address="https://fcm.googleapis.com/fcm/send/abc",
    wrong_secret=lambda _: "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
    idempotent=True,
    errors={
        "400": "refused",
        "401": "misconfigured",
        "403": "misconfigured",
        "404": "refused",
        "410": "refused",
        "413": "unsupported",
        "429": "unavailable",
        "503": "unavailable",
    },
)
