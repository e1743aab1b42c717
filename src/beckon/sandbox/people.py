"""People: the customers of the sandbox's workshop, and the addresses that each of them has."""

from typing import Any

import msgspec

from beckon.sandbox.twins.fcm import token_of
from beckon.sandbox.twins.web_push import address_of

#: Every channel with the provider whose twin carries it.
PROVIDER_OF = {
    "oem_app": "oem_app",
    "whatsapp": "whatsapp_cloud",
    "sms": "twilio_sms",
    "email": "smtp",
    "web_push": "web_push",
    "fcm": "fcm",
}
#: What a customer of the workshop has, in the order of preference.
CHANNELS = ("oem_app", "whatsapp", "sms", "email")
#: What shows on the lock screen, for whoever asked for it.
PUSH = ("web_push", "fcm")


class Customer(msgspec.Struct, kw_only=True, frozen=True):
    """One customer. ``number`` makes the addresses: another number is somebody else."""

    name: str
    number: int
    has: tuple[str, ...] = CHANNELS
    locale: str = "en"
    #: where the sandbox's parties are mounted: a browser's subscription names its push service
    origin: str = ""

    @property
    def first_name(self) -> str:
        """What a letter begins with."""
        return self.name.partition(" ")[0]

    def address(self, channel: str) -> str:
        """The address on a channel, as that channel's twin knows it; whether the customer has it or not."""
        phone = f"32470{(123_456 + 7_919 * self.number) % 1_000_000:06d}"
        letters = "".join([letter if letter.isalpha() and letter.isascii() else "." for letter in self.name.lower()])
        word = ".".join([part for part in letters.split(".") if part]) or "customer"
        return {
            "oem_app": f"drive-{self.number:04d}",
            "whatsapp": phone,
            "sms": f"+{phone}",
            "email": f"{word}{self.number}@mail.example",
            "web_push": address_of(self.origin, f"{word}{self.number}"),
            "fcm": token_of(f"{word}{self.number}"),
        }[channel]

    def contact(self) -> dict[str, Any]:
        """The customer as a business system names them in an event: what they don't have isn't said."""
        said: dict[str, Any] = {"name": self.name, "first_name": self.first_name, "locale": self.locale}
        if "oem_app" in self.has:
            said["oem_app"] = self.address("oem_app")
        if {"whatsapp", "sms"} <= set(self.has):
            # One number is both, as business systems write it.
            said["phone"] = self.address("sms")
        elif "sms" in self.has:
            said["sms"] = self.address("sms")
        elif "whatsapp" in self.has:
            said["whatsapp"] = self.address("whatsapp")
        if "email" in self.has:
            said["email"] = self.address("email")
        said.update({channel: self.address(channel) for channel in PUSH if channel in self.has})
        if not self.has:
            # Nobody to write to, but somebody whose conversation says so.
            said["id"] = f"customer-{self.number}"
        return said
