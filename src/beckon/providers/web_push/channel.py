"""The little IO of Web Push: one POST for each message to the browser's own push service, with a kept connection."""

from cryptography.hazmat.primitives.asymmetric import ec

from beckon.core.clock import SystemClock
from beckon.core.errors import Refused
from beckon.core.ids import chance
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Connections
from beckon.providers.provider import need
from beckon.providers.web_push.payloads import (
    CAPABILITIES,
    NAME,
    PASS_S,
    Settings,
    build,
    headers_of,
    private_key_of,
    public_key_of,
    read_address,
    read_reply,
    seal,
    signed_pass,
)

#: Push services whose pass is kept; there are a handful in the world.
_PASSES_MAX = 64


class WebPushChannel:
    """One sender's key, towards whichever push service a browser has chosen."""

    name = "web_push"
    provider = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: Settings, connections: Connections) -> None:
        need(settings, NAME, "vapid_private_key", "subject")
        self._settings = settings
        self._request = connections.request
        self._clock = SystemClock()
        self._key = private_key_of(settings)
        self.public_key = public_key_of(self._key)
        #: push service → (its pass, until when it is shown, in milliseconds)
        self._passes: dict[str, tuple[str, int]] = {}

    def takes(self, address: str) -> bool:
        """Whether this is the address of a browser at a push service that is known."""
        try:
            read_address(address, self._settings)
        except Refused:
            return False
        return True

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        subscription = read_address(message.to, self._settings)
        plain = build(message)
        # A key for this message alone: whoever learns ours later can't read it.
        body = seal(plain, subscription, salt=chance(16), key=ec.generate_private_key(ec.SECP256R1()))
        given = message.extras.get("now_ms")
        now_ms = given if type(given) is int else self._clock.now_ms()
        headers = headers_of(message, self._settings, self._pass(subscription.origin, now_ms))
        reply = await self._request(
            "POST", subscription.endpoint, headers=headers, body=body, timeout_s=self._settings.timeout_s
        )
        return read_reply(reply, message)

    def _pass(self, origin: str, now_ms: int) -> str:
        """The pass for a push service: signed once, shown for half of its time, by a clock that may be dragged."""
        kept = self._passes.get(origin)
        if kept is None or not 0 <= kept[1] - now_ms <= PASS_S * 500:
            if len(self._passes) >= _PASSES_MAX:
                self._passes.clear()
            signed = signed_pass(self._key, self.public_key, origin, self._settings.subject, now_ms)
            kept = self._passes[origin] = (signed, now_ms + PASS_S * 500)
        return kept[0]
