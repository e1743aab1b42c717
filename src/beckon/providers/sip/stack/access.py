"""Who may register and who may call, and as whom. Pure but for the clock that is handed in."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import msgspec

from beckon.providers.sip.settings import SipSettings
from beckon.providers.sip.stack.digest import Digest, Proof

#: Wrong passwords from one address within this time, after which it waits for its end.
_GUESSES_MAX, _GUESSES_S = 20, 60.0
_GUESSERS_MAX = 10_000


class Admitted(msgspec.Struct, frozen=True):
    """Somebody may: where from, and with which number."""

    source: str
    caller: str


class Denied(msgspec.Struct, frozen=True):
    """Somebody may not, or must prove it (``challenge``: the value of the header that asks)."""

    status: int
    reason: str
    challenge: str = ""


class Guesses:
    """Wrong passwords by the address that they came from: who has guessed too often waits."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._wrong: dict[str, tuple[int, float]] = {}

    def too_many(self, host: str) -> bool:
        """Whether nothing from there is weighed for now."""
        count, since_s = self._wrong.get(host, (0, 0.0))
        return count >= _GUESSES_MAX and self._now_s() - since_s < _GUESSES_S

    def wrong(self, host: str) -> None:
        """One more from there."""
        now_s = self._now_s()
        if len(self._wrong) >= _GUESSERS_MAX:
            self._wrong = {each: kept for each, kept in self._wrong.items() if now_s - kept[1] < _GUESSES_S}
        count, since_s = self._wrong.get(host, (0, now_s))
        self._wrong[host] = (count + 1, since_s) if now_s - since_s < _GUESSES_S else (1, now_s)


class Access:
    """The phones, trunks and networks of the settings."""

    def __init__(self, settings: SipSettings, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._digest = Digest(settings.realm, now_s)
        self._guesses = Guesses(now_s)
        self._open = tuple(IPv4Network(each) for each in settings.open_to)
        self._trunks = tuple(
            (name, tuple(IPv4Network(each) for each in trunk.allow)) for name, trunk in settings.trunks.items()
        )
        self._incoming = {
            trunk.username: (name, trunk.incoming_password)
            for name, trunk in settings.trunks.items()
            if trunk.incoming_password
        }

    def calls(self, host: str, caller: str, asserted: str, authorization: str) -> Admitted | Denied:
        """Who may call: a trunk by its address, a phone or a trunk by its password, an open network."""
        address = IPv4Address(host)
        for name, networks in self._trunks:
            if any(address in network for network in networks):
                return Admitted(name, asserted or caller)
        if caller not in self._settings.phones and any(address in network for network in self._open):
            return Admitted("open", caller)
        if self._guesses.too_many(host):
            return Denied(403, "Forbidden")
        proof, user = self._digest.check(authorization, "INVITE", self._password)
        if proof is Proof.RIGHT:
            phone = self._settings.phones.get(user)
            if phone is not None:
                # A phone calls as itself, whatever it writes into From.
                return Admitted(f"phone:{user}", phone.number or user)
            return Admitted(self._incoming[user][0], asserted or caller)
        if proof is Proof.WRONG:
            self._guesses.wrong(host)
            return Denied(403, "Forbidden")
        if (
            caller in self._settings.phones
            or caller in self._incoming
            or user
            or self._settings.phones
            or self._incoming
        ):
            return Denied(407, "Proxy Authentication Required", self._digest.challenge(stale=proof is Proof.STALE))
        return Denied(403, "Forbidden")

    def registers(self, host: str, user: str, authorization: str) -> Admitted | Denied:
        """Who may register: a phone, as itself."""
        if self._guesses.too_many(host):
            return Denied(403, "Forbidden")
        proof, name = self._digest.check(authorization, "REGISTER", self._phone_password)
        if proof is Proof.RIGHT and name == user:
            return Admitted(f"phone:{user}", user)
        if proof in (Proof.RIGHT, Proof.WRONG):
            self._guesses.wrong(host)
            return Denied(403, "Forbidden")
        return Denied(401, "Unauthorized", self._digest.challenge(stale=proof is Proof.STALE))

    def _phone_password(self, user: str) -> str | None:
        phone = self._settings.phones.get(user)
        return None if phone is None else phone.password

    def _password(self, user: str) -> str | None:
        incoming = self._incoming.get(user)
        return self._phone_password(user) or (None if incoming is None else incoming[1])
