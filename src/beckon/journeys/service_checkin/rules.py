"""The rules of a service visit that are not flows: how its results read on a card. Pure."""

from beckon.inbox.cards import Card, Field

_KEY_DROP = {
    "counter": "Handed over at the desk",
    "box": "In the key box",
    "home": "Collected at the contact's home",
}

CHECKIN = Card(
    title="Check-in",
    needs=frozenset({"visit", "mileage"}),
    fields=(
        Field("mileage", "Mileage", unit_from="mileage_unit"),
        Field("wishes", "Wishes"),
        Field("note", "Remarks"),
        Field("key_drop", "Key", words=_KEY_DROP),
        Field("contact", "Contact"),
        Field("consent", "Consent"),
        Field("finished_at", "Finished"),
        Field("visit", "Visit"),
    ),
)

WORK = Card(
    title="Decision about the work",
    needs=frozenset({"visit", "items"}),
    fields=(
        Field("items", "Work"),
        Field("total", "Total", unit_from="currency"),
        Field("reason", "Reason"),
        Field("visit", "Visit"),
    ),
    quiet=frozenset({"contact"}),
)

PAYMENT = Card(
    title="Payment",
    needs=frozenset({"visit", "amount"}),
    fields=(
        Field("amount", "Amount", unit_from="currency"),
        Field("paid_at", "Paid"),
        Field("visit", "Visit"),
    ),
    quiet=frozenset({"contact"}),
)

CARDS = (CHECKIN, WORK, PAYMENT)
