"""SessionM's routes: each view under every address that the vendor's clients use for it."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Route

from beckon.journeys.loyalty_offers import sessionm_offers as offers
from beckon.journeys.loyalty_offers import sessionm_till as till
from beckon.journeys.loyalty_offers import sessionm_users as users
from beckon.journeys.loyalty_offers.sessionm import Straight, Vendor, View, endpoint, nothing
from beckon.journeys.part import JourneyParts

_APP = "/priv/v1/apps/{api_key}"
_USER = f"{_APP}/users/{{user_id}}"
_EXTERNAL = f"{_APP}/external/users/{{external_id}}"

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

#: (path, method, scope, view)
_CORE: tuple[tuple[str, str, str, View], ...] = (
    (f"{_APP}/users", "POST", "write", users.create),
    (f"{_APP}/campaigns", "GET", "read", users.campaigns),
    *[
        (f"{one}{rest}", method, scope, view)
        for one in (_USER, _EXTERNAL)
        for rest, method, scope, view in (
            ("", "GET", "read", users.show),
            ("", "PUT", "write", users.change),
            ("", "DELETE", "write", users.forget),
            ("/forget", "POST", "write", users.forget),
            ("/campaigns", "GET", "read", users.campaigns),
            ("/campaigns/{campaign_id}/opt_in", "POST", "write", users.opt_in),
            ("/tags", "GET", "read", users.tags),
            ("/tags", "POST", "write", users.tags),
            ("/tags", "DELETE", "write", users.tags),
            ("/points", "POST", "write", users.points),
            ("/promo_codes/claims", "POST", "write", users.claim),
            ("/tiers", "GET", "read", users.tiers),
            ("/auth_token", "POST", "write", users.auth_token),
        )
    ],
)

#: mounts under which a domain's routes stand, and (path, scope, view) of each
_DOMAINS: tuple[tuple[tuple[str, ...], tuple[tuple[str, str, View], ...]], ...] = (
    (
        ("/api/2.0",),
        (
            ("/lookup", "read", till.lookup),
            ("/lock", "write", till.lock),
            ("/unlock", "write", till.unlock),
            ("/redeem", "write", till.redeem),
            ("/reinstate", "write", till.reinstate),
        ),
    ),
    (
        ("/api/2.0/offers", "/offers/api/2.0/offers"),
        (
            ("/get_user_offers", "read", offers.get_user_offers),
            ("/acquisition/issue", "write", offers.issue),
            ("/acquisition/revoke", "write", offers.revoke),
            ("/redemption/manual_redeem", "write", offers.manual_redeem),
            ("/rewardstores/get_user_reward_stores", "read", offers.user_stores),
            ("/rewardstores/get_reward_store_offers", "read", offers.store_offers),
            ("/rewardstores/purchase_offer", "write", offers.purchase),
        ),
    ),
    (
        ("/incentives/api/1.0/user_points", "/incentives/api/2.0/user_points", "/api/2.0/user_points"),
        (
            ("/balance", "read", offers.balance),
            ("/all_balances", "read", offers.balance),
            ("/deposit", "write", offers.deposit),
            ("/spend", "write", offers.spend),
        ),
    ),
)


def routes(parts: JourneyParts) -> Sequence[BaseRoute]:
    """All routes of the dialect."""
    vendor = Vendor(parts)
    known = [
        *_in_other_ways([(path, method) for path, method, _, _ in _CORE], core=True),
        *_in_other_ways(
            [(f"{mount}{path}", "POST") for mounts, views in _DOMAINS for mount in mounts for path, _, _ in views],
            core=False,
        ),
    ]
    return [
        Route("/api/2.0/send_transaction", Straight(vendor, "events", till.send_transaction)),
        *[
            Route(path, endpoint(vendor, view, scope, core=True), methods=[method])
            for path, method, scope, view in _CORE
        ],
        *[
            Route(f"{mount}{path}", endpoint(vendor, view, scope, core=False), methods=["POST"])
            for mounts, views in _DOMAINS
            for mount in mounts
            for path, scope, view in views
        ],
        *known,
        *[
            Route(f"{root}/{{rest:path}}", nothing(core=root == "/priv"), methods=list(_METHODS))
            for root in ("/priv", "/api/2.0", "/offers", "/incentives")
        ],
    ]


def _in_other_ways(operations: Sequence[tuple[str, str]], *, core: bool) -> list[BaseRoute]:
    """What is there, asked by a method that it has not: said in the dialect's shape."""
    by_path: dict[str, list[str]] = {}
    for path, method in operations:
        by_path.setdefault(path, []).append(method)
    return [
        Route(
            path,
            nothing(core=core, allow=", ".join(sorted(methods))),
            methods=[one for one in _METHODS if one not in methods],
        )
        for path, methods in by_path.items()
    ]
