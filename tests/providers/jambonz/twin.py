"""jambonz' end: its REST interface and signed webhooks; every document is held to its own schema."""

import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jsonschema_rs
from starlette.requests import Request
from starlette.responses import Response

from beckon.providers.jambonz import SWITCH
from beckon.providers.jambonz.settings import JambonzSettings
from tests.house.repository import ROOT
from tests.providers.exchange import Exchange, Heard, Op, Phone, exchanging, switched

SCHEMAS = ROOT / ".venv" / "npm" / "node_modules" / "@jambonz" / "schema"
ACCOUNT = "fef61e75-cec3-496c-a7bc-8368e4d02a04"
SECRET = "wh_secret"


@cache
def _schema() -> tuple[jsonschema_rs.Registry, dict[str, Any]]:
    assert SCHEMAS.is_dir(), "make set-up-dev brings @jambonz/schema"
    documents = [
        json.loads(file.read_text())
        for file in SCHEMAS.rglob("*.schema.json")
        if "node_modules" not in file.relative_to(SCHEMAS).parts
    ]
    registry = jsonschema_rs.Registry([(one["$id"], one) for one in documents])
    return registry, {one["$id"]: one for one in documents}


@cache
def _validator(file: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads((SCHEMAS / file).read_text()), registry=_schema()[0])


def accepted(body: bytes) -> list[dict[str, Any]]:
    """A document, if jambonz' own schema accepts it, and knows each of its properties."""
    verbs: list[dict[str, Any]] = json.loads(body)
    assert [error.message for error in _validator("jambonz-app.schema.json").iter_errors(verbs)] == []
    for verb in verbs:
        named = json.loads((SCHEMAS / "verbs" / f"{verb['verb'].replace(':', '-')}.schema.json").read_text())[
            "properties"
        ]
        assert set(verb) <= set(named), verb
    return verbs


class SpeaksJambonz:
    """JSON out, verbs in."""

    def webhook(self, phone: Phone, url: str, more: dict[str, Any], now_ms: int) -> tuple[bytes, dict[str, str]]:
        said: dict[str, Any] = {
            "call_sid": phone.sid,
            "account_sid": ACCOUNT,
            "direction": "inbound" if phone.inbound else "outbound",
            "from": (phone.number if phone.inbound else phone.other).lstrip("+"),
            "to": (phone.other if phone.inbound else phone.number).lstrip("+"),
            "call_id": "0-b3c9",
            "call_status": "completed" if phone.end == "by the phone" else phone.status,
            "sip_status": {"busy": 486, "no-answer": 487}.get(phone.status, 200),
        }
        schema = "callbacks/call-status.schema.json"
        if "keys" in more:
            schema = "callbacks/gather.schema.json"
            said["reason"] = "dtmfDetected" if more["keys"] or more["until"] else "timeout"
            if more["keys"]:
                said["digits"] = more["keys"]
        assert [error.message for error in _validator(schema).iter_errors(said)] == []
        body = json.dumps(said).encode()
        at_s = now_ms // 1_000
        proof = hmac.new(SECRET.encode(), b"%d." % at_s + body, "sha256").hexdigest()
        return body, {"Jambonz-Signature": f"t={at_s},v1={proof}", "Content-Type": "application/json"}

    def read(self, body: bytes) -> list[Op]:
        return [op for verb in accepted(body) for op in _ops(verb)]

    async def rest(self, exchange: Exchange, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer key":
            return Response(status_code=401)
        body = json.loads(await request.body() or b"{}")
        path = request.url.path.removeprefix(f"/api/v1/Accounts/{ACCOUNT}")
        exchange.commands.append((request.method, path, body))
        match path.strip("/").split("/"):
            case ["Calls"]:
                if "dial" in exchange.statuses:
                    return Response(status_code=exchange.statuses["dial"][0])
                phone = exchange.dial(
                    body["to"]["number"], body["from"], body["call_hook"]["url"], body["call_status_hook"]["url"]
                )
                return Response(json.dumps({"sid": phone.sid}), 201)
            case ["Calls", sid]:
                return await self._changed(exchange, exchange.phones.get(sid), request.method, body)
        return Response(b"{}")

    async def _changed(self, exchange: Exchange, phone: Phone | None, method: str, body: Any) -> Response:
        if phone is None or phone.end:
            return Response(status_code=404)
        if method == "PUT" and "call_hook" in body and exchange.refusals:
            return Response(status_code=exchange.refusals.pop(0)[0])
        if method == "PUT" and "call_hook" in body:
            exchange.change(phone, body["call_hook"]["url"])
        elif method == "PUT":
            await exchange.finish(phone, body["call_status"], "by command")
        return Response(b"{}", 202)


def _ops(verb: dict[str, Any]) -> list[Op]:
    what = verb["verb"]
    if what == "gather":
        inside = _ops({"verb": "say", **verb["say"]}) if "say" in verb else []
        inside += _ops({"verb": "play", **verb["play"]}) if "play" in verb else []
        return [("gather", {"inside": inside, "url": verb["actionHook"]["url"], "max": verb["maxDigits"],
                            "until": verb.get("finishOnKey", "")})]  # fmt: skip
    if what == "say":
        return [("say", {"what": verb["text"]})]
    if what == "play":
        urls = [verb["url"]] if isinstance(verb["url"], str) else verb["url"]
        return [("play", {"what": url}) for url in urls]
    if what == "redirect":
        return [("redirect", {"url": verb["actionHook"]["url"]})]
    if what == "conference":
        return [("conference", {"what": verb["name"]})]
    if what == "dtmf":
        return [("digits", {"what": verb["dtmf"]})]
    if what == "sip:decline":
        return [("reject", {"what": str(verb["status"])})]
    return [] if what == "answer" else [(what, {"what": str(verb.get("length", ""))})]


@asynccontextmanager
async def a_jambonz(**more: Any) -> AsyncIterator[tuple[Exchange, Heard]]:
    """jambonz on loopback, and our switch before it."""
    async with exchanging(SpeaksJambonz(), "jambonz") as exchange:
        fields: dict[str, Any] = {
            "account_sid": ACCOUNT,
            "api_key": "key",
            "webhook_secret": SECRET,
            "url": f"http://127.0.0.1:{exchange.port}/api/v1",
            "hook_url": exchange.hook_url,
            **more,
        }
        settings = JambonzSettings(**fields)
        async with switched(exchange, lambda listen: SWITCH.open(settings, exchange.clock, listen)) as heard:
            yield exchange, heard
