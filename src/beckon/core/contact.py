"""Contact: a person, and the addresses at which channels reach them."""

import msgspec


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a channel finds a contact. The key is (channel, external id), never a phone number alone.

    ``channel`` is the channel's name (``whatsapp``, ``sms``, ``email``, ``oem_app``); ``external_id`` is what that
    channel calls the person: E.164 for ``sms``, the wa_id (digits) or business-scoped id for ``whatsapp``, the
    mailbox for ``email``, the app's user id for ``oem_app``.
    """

    channel: str
    external_id: str
    #: set when a provider said that it does not work (hard bounce, not on WhatsApp); the reason in words.
    broken: str | None = None


class Consent(msgspec.Struct, frozen=True):
    """What the contact allowed or forbade, and the proof: who said so, when, in which words."""

    #: ``transactional`` or ``marketing``.
    purpose: str
    #: a channel's name, or ``*`` for all.
    channel: str
    granted: bool
    at_ms: int
    #: e.g. ``keyword STOP in whatsapp message wamid.X`` or ``check-in form, box ticked, link lnk_…``.
    proof: str


class Contact(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A person as the rooms see one."""

    id: str
    workspace: str
    name: str = ""
    #: BCP 47: ``nl-BE``. Falls back nl-BE → nl → the workspace's own.
    locale: str = ""
    #: IANA: ``Europe/Brussels``; empty: the workspace's.
    time_zone: str = ""
    addresses: tuple[Address, ...] = ()
    consents: tuple[Consent, ...] = ()
    #: this contact's own order of channels; empty: the workspace's.
    channel_order: tuple[str, ...] = ()
    #: when the contact last wrote to us, by channel: opens WhatsApp's 24 hours.
    last_inbound_ms: dict[str, int] = {}
    #: free fields of the integrator.
    fields: dict[str, str] = {}
    #: when this person was to be forgotten; 0: not. All else but the ids is empty then.
    forgotten_ms: int = 0

    def address(self, channel: str) -> Address | None:
        """The contact's first address on this channel that is not known to be broken, or the first at all.

        A phone that takes text messages can be called, where nothing else is said of it.
        """
        found: Address | None = None
        for address in self.addresses:
            if address.channel == channel:
                if address.broken is None:
                    return address
                found = found or address
        if found is None and channel == "voice":
            phone = self.address("sms")
            # That it takes no text messages does not say that nobody answers it.
            return None if phone is None else Address(channel, phone.external_id)
        return found

    def devices(self, channel: str, most: int) -> tuple[str, ...]:
        """The contact's addresses on this channel that are not known to be broken, the newest first."""
        found = [one.external_id for one in self.addresses if one.channel == channel and one.broken is None]
        return tuple(found[:most])
