"""SMS, as the contract suite tries it."""

from tests.contracts.case import Case

CASE = Case(
    address="+32475123456",
    bad_address="0475 12 34 56",
    signature_header="X-Twilio-Signature",
    errors={
        "20003": "misconfigured",
        "20404": "misconfigured",
        "20429": "unavailable",
        "20500": "unavailable",
        "20503": "unavailable",
        "21211": "refused",
        "21212": "misconfigured",
        "21408": "refused",
        "21602": "unsupported",
        "21603": "misconfigured",
        "21604": "refused",
        "21606": "misconfigured",
        "21609": "misconfigured",
        "21610": "refused",
        "21611": "unavailable",
        "21614": "refused",
        "21617": "unsupported",
        "30003": "refused",
        "30005": "refused",
        "30007": "refused",
    },
    broken=(b"", b"{", b"\xff\xfe", b"a=" + b"%ff" * 10, b"&" * 1000, b"=&=&", b"MessageSid=&From=%2B32"),
)
