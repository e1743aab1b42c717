"""Firebase, as the contract suite tries it."""

from collections.abc import Mapping

from beckon.core.exchange import Connections, Reply
from beckon.sandbox.twins.fcm import token_of
from tests.contracts.case import Case


class Signed:
    """Gives a token to whoever asks for one; all else goes on."""

    def __init__(self, connections: Connections) -> None:
        self._on = connections

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
    ) -> Reply:
        if url.endswith("/token"):
            return Reply(200, {}, b'{"access_token":"ya29.a0","expires_in":3599,"token_type":"Bearer"}')
        return await self._on.request(method, url, headers=headers, body=body, timeout_s=timeout_s)


CASE = Case(
    address=token_of("ann"),
    bad_address="not a token",
    wrong_secret=lambda given: given.replace("beckon@", "stranger@"),
    behind=Signed,
    idempotent=True,
    errors={
        "UNREGISTERED": "refused",
        "INVALID_ARGUMENT": "refused",
        "SENDER_ID_MISMATCH": "misconfigured",
        "QUOTA_EXCEEDED": "unavailable",
        "UNAVAILABLE": "unavailable",
        "INTERNAL": "unavailable",
        "THIRD_PARTY_AUTH_ERROR": "misconfigured",
        "UNAUTHENTICATED": "misconfigured",
        "PERMISSION_DENIED": "misconfigured",
    },
)
