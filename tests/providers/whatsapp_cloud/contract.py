"""WhatsApp, as the contract suite tries it."""

from typing import Any

from beckon.core.message import ApprovedTemplate, Button, Rendered
from beckon.sandbox.twins.whatsapp_cloud import RegisteredButton, RegisteredTemplate
from tests.contracts.case import Case

INVITE = RegisteredTemplate(
    name="checkin_invite",
    language="en_US",
    body="Hello {{1}}, check in for {{2}}.",
    buttons=(
        RegisteredButton("url", "Start check-in", "https://garage.example/go/{{1}}"),
        RegisteredButton("quick_reply", "Not now"),
    ),
)


def prepare(twin: Any) -> None:
    twin.register(INVITE)


CASE = Case(
    address="32475123456",
    bad_address="+0",
    signature_header="X-Hub-Signature-256",
    prepare=prepare,
    template=Rendered(
        text="Hello Jan, check in for Tuesday.",
        buttons=(
            Button("link", "Start check-in", "https://garage.example/go/k3y"),
            Button("reply", "Not now", "later"),
        ),
        template=ApprovedTemplate(
            name="checkin_invite",
            language="en_US",
            body_parameters=("Jan", "Tuesday"),
            button_parameters=("k3y", "later"),
        ),
    ),
    errors={
        "2": "unavailable",
        "33": "misconfigured",
        "100": "refused",
        "190": "misconfigured",
        "368": "misconfigured",
        "80007": "unavailable",
        "130429": "unavailable",
        "131000": "unavailable",
        "131005": "misconfigured",
        "131008": "refused",
        "131009": "refused",
        "131016": "unavailable",
        "131026": "refused",
        "131030": "refused",
        "131042": "misconfigured",
        "131047": "unsupported",
        "131048": "unavailable",
        "131049": "refused",
        "131050": "refused",
        "131051": "unsupported",
        "131056": "unavailable",
        "132000": "misconfigured",
        "132001": "misconfigured",
        "132012": "misconfigured",
        "132015": "misconfigured",
        "132016": "misconfigured",
    },
)
