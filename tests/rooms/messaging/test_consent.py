"""STOP, START and consents with their proof."""

import pytest

from beckon.core.contact import Consent
from beckon.core.errors import Refused
from beckon.messaging.consent import CONSENTS_MAX, START, STOP, allowed, apply_keyword, grant, keyword
from tests.rooms.messaging.stage import NOW_MS, contact_of


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop",
        " Stop. ",
        "STOP!!!",
        "« ARRÊT ! »",
        "arret",
        "Stopp",
        "ABMELDEN",
        "stop all",
        "ＳＴＯＰ",
        "🛑 stop",
    ],
)
def test_a_message_that_is_a_stop_word_is_one_however_it_is_written(text: str) -> None:
    assert keyword(text) == "stop"


@pytest.mark.parametrize("text", ["stop it please", "Can you stop by?", "", "cancel", "end", "x" * 1000, "startle"])
def test_other_messages_are_no_keywords(text: str) -> None:
    assert keyword(text) is None


def test_every_listed_word_is_known_and_none_means_both() -> None:
    for words, meaning in ((STOP, "stop"), (START, "start")):
        for line in words.values():
            for word in line.split(","):
                assert keyword(word.upper()) == meaning, word


def test_a_stop_closes_its_channel_and_only_that_one() -> None:
    ann = apply_keyword(contact_of(), "sms", "stop", NOW_MS, "SM1")
    assert "stopped" in str(allowed(ann, "sms", "transactional", NOW_MS))
    assert "SM1" in str(allowed(ann, "sms", "transactional", NOW_MS))
    assert allowed(ann, "whatsapp", "transactional", NOW_MS) is None


def test_a_stop_holds_back_everything_but_what_the_law_demands() -> None:
    ann = apply_keyword(contact_of(), "sms", "stop", NOW_MS)
    assert allowed(ann, "sms", "marketing", NOW_MS) is not None
    assert allowed(ann, "sms", "required", NOW_MS) is None


def test_a_start_opens_the_channel_again_and_leaves_both_as_proof() -> None:
    ann = apply_keyword(apply_keyword(contact_of(), "sms", "stop", NOW_MS), "sms", "start", NOW_MS + 1)
    assert allowed(ann, "sms", "transactional", NOW_MS) is None
    assert [one.granted for one in ann.consents] == [False, True]


def test_the_newest_word_counts_even_when_it_arrives_first() -> None:
    ann = apply_keyword(apply_keyword(contact_of(), "sms", "start", NOW_MS + 1), "sms", "stop", NOW_MS)
    assert allowed(ann, "sms", "transactional", NOW_MS) is None


def test_marketing_needs_a_consent_that_was_given() -> None:
    ann = contact_of()
    assert allowed(ann, "email", "marketing", NOW_MS) is not None
    agreed = grant(ann, {"purpose": "marketing", "channel": "email", "granted": True, "proof": "form, box"}, NOW_MS)
    assert allowed(agreed, "email", "marketing", NOW_MS) is None
    assert allowed(agreed, "sms", "marketing", NOW_MS) is not None
    withdrawn = grant(
        agreed, {"purpose": "marketing", "channel": "*", "granted": False, "proof": "called us"}, NOW_MS + 1
    )
    assert "called us" in str(allowed(withdrawn, "email", "marketing", NOW_MS))
    assert allowed(withdrawn, "email", "transactional", NOW_MS) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "anything", "granted": True, "proof": "x"},
        {"purpose": "marketing", "granted": "yes", "proof": "x"},
        {"purpose": "marketing", "granted": True},
        {"purpose": "marketing", "granted": True, "proof": " "},
        {"purpose": "marketing", "granted": True, "proof": "x", "channel": ""},
    ],
)
def test_a_consent_without_its_parts_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Refused):
        grant(contact_of(), fields, NOW_MS)


def test_a_stop_survives_however_often_others_change_their_mind() -> None:
    ann = apply_keyword(contact_of(), "whatsapp", "stop", NOW_MS)
    for number in range(CONSENTS_MAX * 2):
        ann = apply_keyword(ann, "sms", "start" if number % 2 else "stop", NOW_MS + number)
    assert len(ann.consents) == CONSENTS_MAX
    assert Consent("*", "whatsapp", False, NOW_MS, "keyword STOP in whatsapp message") in ann.consents
    assert allowed(ann, "whatsapp", "transactional", NOW_MS) is not None
    assert allowed(ann, "sms", "transactional", NOW_MS) is None
