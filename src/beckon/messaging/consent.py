"""Consent: what a contact forbade or allowed, by a keyword, a form or a word to the team, with its proof. Pure.

A STOP closes the channel on which it came for everything but what the law demands (``REQUIRED``: the confirmation of
that STOP, a safety recall). Marketing needs a consent that was given. The newest word counts.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from beckon.core import clock
from beckon.core.contact import Consent, Contact
from beckon.core.errors import Refused

Word = Literal["stop", "start"]

#: A consent's purpose that means all of them: what STOP and START speak of.
ALL = "*"
#: A message's purpose that no STOP holds back: what the law demands.
REQUIRED = "required"
PURPOSES = (ALL, "transactional", "marketing")

#: Words that close a channel, as whole messages. Not "cancel", "end", "quit": in a workshop they are about the visit.
STOP = {
    "en": "stop, stop all, stopall, unsubscribe, opt out, optout",
    "fr": "arrêt, arrêter, arrêtez, désabonner, désabonnement, se désabonner, désinscrire, désinscription",
    "de": "stopp, abmelden, abbestellen, austragen",
    "nl": "stoppen, afmelden, uitschrijven, meld af",
    "it": "ferma, fermare, disiscrivi, disiscrivimi, cancellami, annulla iscrizione",
    "es": "baja, darse de baja, darme de baja, parar, cancelar suscripción",
    "sv": "stoppa, avregistrera, avregistrera mig, avsluta prenumeration",
    "no": "meld av, meld meg av, avmeld, avslutt abonnement",
}
#: Words that open it again.
START = {
    "en": "start, unstop, subscribe, opt in, optin",
    "fr": "démarrer, reprendre, s'abonner, réabonner",
    "de": "starten, anmelden",
    "nl": "aanmelden, hervatten, inschrijven",
    "it": "inizia, riprendi, iscrivimi",
    "es": "alta, iniciar, reanudar, darme de alta",
    "sv": "starta, återuppta, prenumerera",
    "no": "gjenoppta, abonner, meld på",
}
_KEYWORD_MAX = 40
_PROOF_MAX = 300
#: Consents that a contact keeps: the newest of each (purpose, channel) always, older ones as long as there is room.
CONSENTS_MAX = 64

_NOT_WORDS = re.compile(r"[\W_]+")


def _folded(text: str) -> str:
    """Lower case, no accents, no signs, single blanks: ``« ARRÊT ! »`` → ``arret``."""
    spread = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join([sign for sign in spread if not unicodedata.combining(sign)])
    return _NOT_WORDS.sub(" ", bare.replace("ø", "o").replace("'", "").replace("’", "")).strip()


def _by_word(words: Mapping[str, str], meaning: Word) -> dict[str, Word]:
    return {_folded(word): meaning for line in words.values() for word in line.split(",")}


_KEYWORDS: dict[str, Word] = _by_word(STOP, "stop") | _by_word(START, "start")


def keyword(text: str) -> Word | None:
    """``stop`` or ``start`` where the whole message is such a word in one of our languages, however it is written."""
    if len(text) > _KEYWORD_MAX:
        return None
    return _KEYWORDS.get(_folded(text))


def apply_keyword(contact: Contact, channel: str, word: Word, at_ms: int, provider_id: str = "") -> Contact:
    """The contact after they sent STOP or START on a channel; the message is the proof."""
    proof = f"keyword {word.upper()} in {channel} message {provider_id}".rstrip()
    return _with(contact, Consent(ALL, channel, word == "start", at_ms, proof[:_PROOF_MAX]))


def grant(contact: Contact, fields: Mapping[str, Any], at_ms: int) -> Contact:
    """The contact after a ``consent.changed`` event: {purpose, channel, granted, proof}. Raises ``Refused``."""
    purpose = fields.get("purpose", "marketing")
    if purpose not in PURPOSES:
        raise Refused("consent.purpose", f"A consent is for one of {', '.join(PURPOSES)}.", field="data.purpose")
    channel = fields.get("channel", ALL)
    if type(channel) is not str or not 0 < len(channel) <= 64:
        raise Refused("consent.channel", "A consent names a channel, or * for all.", field="data.channel")
    granted = fields.get("granted")
    if type(granted) is not bool:
        raise Refused("consent.granted", "A consent was granted (true) or withdrawn (false).", field="data.granted")
    proof = fields.get("proof")
    if type(proof) is not str or not proof.strip():
        raise Refused("consent.proof", "A consent says where and how it was given.", field="data.proof")
    return _with(contact, Consent(purpose, channel, granted, at_ms, proof.strip()[:_PROOF_MAX]))


def allowed(contact: Contact, channel: str, purpose: str, now_ms: int) -> str | None:
    """None when a message of this purpose may go out on this channel; else why not, in words for the team."""
    if purpose == REQUIRED:
        return None
    if not contact.consents:
        return None if purpose != "marketing" else "the customer has not agreed to marketing"
    stopped = _newest(contact, channel, ALL)
    if stopped is not None and not stopped.granted:
        return f"the customer stopped messages here on {_day(stopped)} ({stopped.proof})"
    said = _newest(contact, channel, purpose)
    if said is None:
        return None if purpose != "marketing" else "the customer has not agreed to marketing here"
    if not said.granted:
        return f"the customer refused {purpose} messages on {_day(said)} ({said.proof})"
    return None


def refusals(contact: Contact, channel: str) -> tuple[tuple[str, str, int], ...]:
    """What stands refused for an address on a channel: (purpose, channel, at_ms), at most one for each purpose.

    A phone that takes text messages can be called as well.
    """
    found: dict[tuple[str, str], Consent] = {}
    for one in ("sms", "voice") if channel == "sms" else (channel,):
        for purpose in PURPOSES:
            newest = _newest(contact, one, purpose)
            if newest is not None and not newest.granted:
                found[purpose, newest.channel] = newest
    return tuple([(one.purpose, one.channel, one.at_ms) for one in found.values()])


def refused_before(contact: Contact, refused: Iterable[tuple[str, str, int]], forgotten_ms: int) -> Contact:
    """The contact, with what was refused at one of its addresses by somebody who was forgotten."""
    proof = f"refused before this address was forgotten on {clock.iso(forgotten_ms)[:10]}"
    for purpose, channel, at_ms in refused:
        contact = _with(contact, Consent(purpose, channel, False, at_ms, proof))
    return contact


def _newest(contact: Contact, channel: str, purpose: str) -> Consent | None:
    found: Consent | None = None
    for consent in contact.consents:
        if consent.purpose != purpose or consent.channel not in (channel, ALL):
            continue
        # Of two at the same instant, the one that was noted later counts.
        if found is None or consent.at_ms >= found.at_ms:
            found = consent
    return found


def _with(contact: Contact, consent: Consent) -> Contact:
    kept = [*contact.consents, consent]
    if len(kept) > CONSENTS_MAX:
        # The newest word for each purpose and channel stays; of the others, the oldest go.
        newest = {(one.purpose, one.channel): one for one in sorted(kept, key=lambda one: one.at_ms)}
        loose = [one for one in kept if newest[one.purpose, one.channel] is not one]
        gone = {id(one) for one in loose[: len(kept) - CONSENTS_MAX]}
        kept = [one for one in kept if id(one) not in gone]
    return msgspec.structs.replace(contact, consents=tuple(kept))


def _day(consent: Consent) -> str:
    return clock.iso(consent.at_ms)[:10]
