"""Reading whom an event means, and what a newer event changes."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.core.contact import Address, Contact
from beckon.core.errors import Refused
from beckon.messaging.contacts import (
    ADDRESSES_MAX,
    break_address,
    inbound,
    locale_chain,
    merge,
    normalise_email,
    normalise_phone,
    read_reference,
)
from tests.rooms.messaging.stage import NOW_MS, contact_of

HABITS = [
    ("+32470123456", "", "+32470123456"),
    ("0033600000000", "BE", "+33600000000"),
    ("00 33 6 12 34 56 78", "BE", "+33612345678"),
    ("+33 (0)6 12 34 56 78", "", "+33612345678"),
    ("+330612345678", "", "+33612345678"),
    ("06 12 34 56 78", "FR", "+33612345678"),
    ("06.12.34.56.78", "FR", "+33612345678"),
    ("33612345678", "BE", "+33612345678"),
    ("0470/12.34.56", "BE", "+32470123456"),
    ("tel:+33-6-12-34-56-78", "", "+33612345678"),
    ("＋３３６１２３４５６７８", "", "+33612345678"),
    ("٠٦١٢٣٤٥٦٧٨", "FR", "+33612345678"),
    ("+39 06 698 12345", "", "+390669812345"),
    ("+49 (0)151 23456789", "", "+4915123456789"),
    ("+4901512345678", "", "+491512345678"),
    ("011 33 6 12 34 56 78", "US", "+33612345678"),
    ("(415) 555-2671", "US", "+14155552671"),
    ("+32470123456 ext 12", "", "+32470123456"),
    ("  +47 912 34 567 ", "", "+4791234567"),
    ("070-123 45 67", "SE", "+46701234567"),
]


@pytest.mark.parametrize(("written", "region", "e164"), HABITS)
def test_a_phone_number_is_read_from_any_habit_of_writing(written: str, region: str, e164: str) -> None:
    assert normalise_phone(written, region) == e164


@pytest.mark.parametrize(
    ("written", "region", "code"),
    [
        ("1-800-FLOWERS", "US", "phone.letters"),
        ("call me", "BE", "phone.letters"),
        ("", "BE", "phone.length"),
        ("12", "BE", "phone.length"),
        ("0612345678", "", "phone.region"),
        ("+9999999999", "", "phone.number"),
        ("+33" + "1" * 70, "", "phone.too_long"),
        ("+3360000", "", "phone.number"),
    ],
)
def test_what_is_no_phone_number_is_refused_with_a_code(written: str, region: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        normalise_phone(written, region)
    assert refused.value.code == code


@given(st.text(max_size=40), st.sampled_from(["", "BE", "FR", "US", "NO"]))
def test_any_text_is_a_number_in_e164_or_refused(text: str, region: str) -> None:
    try:
        number = normalise_phone(text, region)
    except Refused:
        return
    assert number[0] == "+"
    assert number[1:].isdigit()
    assert normalise_phone(number, "") == number


@given(st.sampled_from(["BE", "FR", "DE", "NL", "IT", "ES", "SE", "NO", "GB", "US"]), st.data())
def test_the_quick_way_agrees_with_the_library(region: str, data: st.DataObject) -> None:
    code = phonenumbers.country_code_for_region(region)
    digits = data.draw(st.text("0123456789", min_size=6, max_size=12))
    written = f"+{code}{digits}"
    try:
        parsed = phonenumbers.parse(written, None)
        wanted = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        possible = phonenumbers.is_possible_number(parsed)
    except phonenumbers.NumberParseException:
        possible = False
    if possible:
        assert normalise_phone(written, "") == wanted
    else:
        with pytest.raises(Refused):
            normalise_phone(written, "")


@pytest.mark.parametrize(
    ("written", "mailbox"),
    [
        ("Ann@Example.COM", "Ann@example.com"),
        (" mailto:ann@example.com ", "ann@example.com"),
        ("ann@müller.de", "ann@xn--mller-kva.de"),
        ("o'neil+car@a.b.co", "o'neil+car@a.b.co"),
    ],
)
def test_a_mail_address_keeps_its_name_and_lowers_its_domain(written: str, mailbox: str) -> None:
    assert normalise_email(written) == mailbox


@pytest.mark.parametrize(
    "written",
    ["ann", "a@b", "a b@c.be", "a@b.be\nBcc: x@y.be", "<a@b.be>", "a..b@c.be", ".a@c.be", "a@-b.be", "@b.be", "a@"],
)
def test_what_is_no_mail_address_is_refused(written: str) -> None:
    with pytest.raises(Refused):
        normalise_email(written)


@pytest.mark.parametrize(
    ("locale", "default", "chain"),
    [
        ("nl-BE", "en", ("nl-BE", "nl", "en")),
        ("nb-NO", "fr", ("nb-NO", "nb", "no", "fr", "en")),
        ("", "fr-BE", ("fr-BE", "fr", "en")),
        ("en", "en", ("en",)),
    ],
)
def test_a_locale_falls_back_step_by_step(locale: str, default: str, chain: tuple[str, ...]) -> None:
    assert locale_chain(locale, default) == chain


def test_a_phone_is_an_address_for_sms_and_for_whatsapp() -> None:
    reference = read_reference({"name": "Ann", "phone": "0470 12 34 56", "email": "ann@EXAMPLE.com"}, region="BE")
    assert reference.addresses == (
        Address("sms", "+32470123456"),
        Address("whatsapp", "32470123456"),
        Address("email", "ann@example.com"),
    )


def test_a_whatsapp_id_of_its_own_counts_more_than_the_phone() -> None:
    reference = read_reference({"phone": "+32470123456", "whatsapp": "BE.13491208655302741918"})
    assert {one.channel: one.external_id for one in reference.addresses}["whatsapp"] == "BE.13491208655302741918"


def test_a_contact_may_be_an_id_a_number_or_a_mailbox() -> None:
    assert read_reference("con_123").id == "con_123"
    assert read_reference("0033612345678").addresses[0].external_id == "+33612345678"
    assert read_reference("ann@example.com").addresses[0].channel == "email"


def test_other_channels_and_fields_are_kept_as_given() -> None:
    reference = read_reference(
        {"oem_app": "bmw-77", "addresses": {"telegram": "9"}, "vip": True, "crm": 12, "nested": {"a": 1}, "none": None}
    )
    assert {one.channel for one in reference.addresses} == {"oem_app", "telegram"}
    assert reference.fields == {"vip": "true", "crm": "12"}


def test_a_partners_own_id_finds_nobody_else_unless_it_is_all_there_is() -> None:
    reachable = read_reference({"id": "9", "phone": "+32470123456"})
    assert all(one.channel != "external" for one in reachable.addresses)
    assert reachable.fields["external_id"] == "9"
    assert read_reference({"id": 9, "name": "Ann"}).addresses == (Address("external", "9"),)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "data.contact"),
        ([], "data.contact"),
        ({}, "data.contact"),
        ({"name": "Ann"}, "data.contact"),
        ("hello", "data.contact"),
        ({"phone": 32470123456}, "data.contact.phone"),
        ({"phone": "abc"}, "data.contact.phone"),
        ({"email": "x"}, "data.contact.email"),
        ({"email": "a@b.be", "locale": "dutch"}, "data.contact.locale"),
        ({"email": "a@b.be", "time_zone": "Mars/Base"}, "data.contact.time_zone"),
        ({"email": "a@b.be", "time_zone": "../../etc/passwd"}, "data.contact.time_zone"),
        ({"email": "a@b.be", **{f"f{n}": "x" for n in range(40)}}, "data.contact"),
        ({"addresses": 3}, "data.contact.addresses"),
        ({"oem_app": "a" * 300}, "data.contact.oem_app"),
        ({"oem_app": "a\u202eb"}, "data.contact.oem_app"),
    ],
)
def test_what_is_wrong_with_a_contact_names_its_field(value: object, field: str) -> None:
    with pytest.raises(Refused) as refused:
        read_reference(value, region="BE")
    assert refused.value.field == field


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "name", "first_name", "phone", "email", "whatsapp", "sms", "locale", "addresses", "x"]),
        json_values,
    )
)
def test_any_object_is_a_contact_or_refused(value: dict[str, object]) -> None:
    try:
        reference = read_reference(value, region="BE")
    except Refused:
        return
    assert reference.id or reference.addresses


def test_merging_the_same_again_gives_the_very_same_contact() -> None:
    ann = contact_of()
    reference = read_reference({"name": "Ann Peeters", "phone": "0032470123456", "email": "ann@EXAMPLE.com"})
    assert merge(ann, reference, NOW_MS) is ann


def test_a_newer_event_brings_its_number_to_the_front() -> None:
    ann = merge(contact_of(), read_reference({"phone": "+32499000000"}), NOW_MS)
    first = ann.address("sms")
    assert first is not None
    assert first.external_id == "+32499000000"
    assert Address("sms", "+32470123456") in ann.addresses


def test_a_broken_number_stays_broken_when_an_event_repeats_it() -> None:
    ann = break_address(contact_of(), "sms", "+32470123456", "the number does not exist")
    again = merge(ann, read_reference({"phone": "+32470123456", "oem_app": "u"}), NOW_MS)
    assert again.address("sms") == Address("sms", "+32470123456", broken="the number does not exist")
    mended = break_address(again, "sms", "+32470123456", "")
    assert mended.address("sms") == Address("sms", "+32470123456")


def test_a_contact_keeps_so_many_addresses_and_no_more() -> None:
    ann = contact_of()
    for number in range(30):
        ann = merge(ann, read_reference({"phone": f"+3247000{number:04d}"}), NOW_MS)
    assert len(ann.addresses) == ADDRESSES_MAX
    assert ann.addresses[0].external_id == "+32470000029"


def test_who_wrote_is_read_as_their_channel_writes_them() -> None:
    reference = inbound({"channel": "whatsapp", "from": "32470123456", "name": "Ann", "text": "hi"})
    assert reference.addresses == (Address("whatsapp", "32470123456"),)
    assert merge(Contact(id="con_1", workspace="main"), reference, NOW_MS).name == "Ann"
    with pytest.raises(Refused):
        inbound({"channel": "sms"})
