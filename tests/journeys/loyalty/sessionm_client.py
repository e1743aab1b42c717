"""An app of the vendor's API, by the standard library alone: it knows the documented shapes and nothing of ours."""

import asyncio
import base64
import json
import urllib.request
from typing import Any

Lines = list[tuple[str, int, float]]


class SessionM:
    """A client."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._key = key
        self._basic = base64.b64encode(f"{key}:{secret}".encode()).decode()

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return await asyncio.to_thread(self._called, method, path, body)

    def _called(self, method: str, path: str, body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Basic {self._basic}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            answer: dict[str, Any] = json.load(reply)
        if answer["status"].lower() != "ok":
            raise AssertionError(answer)
        return answer

    async def register(self, email: str, first: str, last: str, external_id: str) -> str:
        """Sign up; the user's id."""
        user = {
            "external_id": external_id,
            "external_id_type": "crm",
            "email": email,
            "first_name": first,
            "last_name": last,
            "opted_in": True,
        }
        answer = await self._call("POST", f"/priv/v1/apps/{self._key}/users", {"user": user})
        assert answer["user"]["identifiers"] == [{"external_id": external_id, "external_id_type": "crm"}]
        return str(answer["user"]["id"])

    async def available_points(self, user_id: str) -> int:
        """What may be spent."""
        answer = await self._call("GET", f"/priv/v1/apps/{self._key}/users/{user_id}")
        return int(answer["user"]["available_points"])

    async def campaign_names(self, user_id: str) -> list[str]:
        """The names of tiles and promotions."""
        answer = await self._call("GET", f"/priv/v1/apps/{self._key}/users/{user_id}/campaigns")
        both = answer["campaigns"]
        return [one["name"] for one in [*both["tiles"], *both["promotions"]]]

    def _transaction(
        self, transaction_id: str, user_id: str, lines: Lines, modified: str, discounts: list[Any]
    ) -> dict[str, Any]:
        items = [
            {
                "line_id": str(number),
                "item_id": item_id,
                "quantity": quantity,
                "unit_price": price,
                "subtotal": price * quantity,
            }
            for number, (item_id, quantity, price) in enumerate(lines, 1)
        ]
        total = sum(quantity * price for _, quantity, price in lines)
        return {
            "transaction_id": transaction_id,
            "is_closed": True,
            "is_voided": False,
            "channel": "POS",
            "subtotal": total,
            "tax_total": 0.0,
            "open_time": "2026-11-26T09:00:00Z",
            "modified_time": modified,
            "items": items,
            "payments": [
                {"payment_id": "1", "amount": total, "type": "CASH", "user_id": user_id, "user_id_type": "SessionM_ID"}
            ],
            "discounts": discounts,
        }

    async def buy(
        self, request_id: str, transaction_id: str, user_id: str, lines: Lines, modified: str, discount: Any = None
    ) -> str:
        """Send a transaction; its status."""
        payload = self._transaction(transaction_id, user_id, lines, modified, [discount] if discount else [])
        answer = await self._call(
            "POST",
            "/api/2.0/send_transaction",
            {"store_id": "s1", "client_id": "c1", "request_id": request_id, "request_payload": payload},
        )
        return str(answer["status"])

    async def wallet(self, user_id: str) -> list[tuple[str, str, str]]:
        """(id, name, redemption_end_date) of the offers."""
        asks = {"retailer_id": "r1", "user_id": user_id, "skip": 0, "take": 100, "culture": "en-US"}
        payload = (await self._call("POST", "/api/2.0/offers/get_user_offers", asks))["payload"]
        assert payload["total_records"] == len(payload["user_offers"])
        return [(one["id"], one["name"], one["redemption_end_date"]) for one in payload["user_offers"]]

    async def _store(self, user_id: str) -> list[dict[str, Any]]:
        [store] = (
            await self._call("POST", "/api/2.0/offers/rewardstores/get_user_reward_stores", {"user_id": user_id})
        )["payload"]["reward_stores"]
        asks = {"user_id": user_id, "reward_store_ids": [store["id"]], "skip": 0, "take": 100}
        answer = await self._call("POST", "/api/2.0/offers/rewardstores/get_reward_store_offers", asks)
        return list(answer["payload"]["reward_stores"][0]["offers"])

    async def store_names(self, user_id: str) -> list[str]:
        """What the rewards store sells."""
        return [one["name"] for one in await self._store(user_id)]

    async def purchase(self, request_id: str, user_id: str, name: str) -> str:
        """Buy an offer; its id."""
        [offer_id] = [one["id"] for one in await self._store(user_id) if one["name"] == name]
        asks = {"user_id": user_id, "offer_id": offer_id, "quantity": 1, "request_id": request_id}
        answer = await self._call("POST", "/offers/api/2.0/offers/rewardstores/purchase_offer", asks)
        return str(answer["payload"]["user_offer"]["id"])

    async def lock(
        self, request_id: str, offer_id: str, transaction_id: str, lines: Lines, modified: str, user_id: str
    ) -> float:
        """Hold an offer for a transaction; what it takes off."""
        payload = {
            "offer_lookup_code": offer_id,
            "offer_lookup_type": "UserOfferId",
            "transaction": self._transaction(transaction_id, user_id, lines, modified, []),
        }
        answer = await self._call(
            "POST",
            "/api/2.0/lock",
            {"store_id": "s1", "client_id": "c1", "request_id": request_id, "request_payload": payload},
        )
        return float(answer["payload"]["amount"])
