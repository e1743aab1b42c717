"""Mail, as the contract suite tries it."""

from tests.contracts.case import Case

CASE = Case(
    address="jan@mail.example",
    bad_address="jan at mail.example",
    signature_header="X-Beckon-Signature",
    replay_window_s=300,
    receipts=(),
    errors={
        "421": "unavailable",
        "450": "unavailable",
        "451": "unavailable",
        "452": "unavailable",
        "550": "refused",
        "552": "refused",
        "553": "refused",
        "554": "refused",
    },
    broken=(
        b"",
        b"{",
        b"\xff\xfe",
        b"From: \xff\xfe\r\n\r\n",
        b"From: =?bogus?q?x?=\r\n\r\nx",
        b"From: <>\r\nSubject: x\r\n\r\nx",
        b"Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 500,
    ),
)
