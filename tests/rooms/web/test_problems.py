"""Problem details: the four kinds as HTTP, with the code, the sentence and the field."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable, Unsupported
from beckon.web import problems


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("event.json", "No JSON."), 400),
        (Refused("hook.signature", "Forged."), 401),
        (Refused("key.scope", "Not with this key."), 403),
        (Refused("run.unknown", "No such run."), 404),
        (Refused("event.type.unknown", "No such type."), 422),
        (Refused("idempotency.reused", "Another body."), 409),
        (Refused("link.expired", "Over."), 410),
        (Refused("event.too_large", "Too large."), 413),
        (Refused("event.media_type", "Not JSON."), 415),
        (Refused("session.slow_down", "Wait."), 429),
        (Refused("contact.phone", "Too short."), 422),
        (Unsupported("sms.media", "No pictures."), 422),
        (Unavailable("db.busy", "Later."), 503),
        (Misconfigured("smtp.key", "Wrong key."), 500),
    ],
)
def test_each_kind_and_code_has_its_status(error: BeckonError, status: int):
    response = problems.problem(error)
    body = json.loads(response.body)
    assert response.status_code == status == body["status"]
    assert response.media_type == "application/problem+json"
    assert body["code"] == error.code
    assert body["detail"] == error.why
    assert body["type"] == f"/docs/errors#{error.code}"
    assert body["title"]


def test_the_field_and_when_to_come_back_are_said():
    assert json.loads(problems.problem(Refused("x.y", "No.", field="data.visit")).body)["field"] == "data.visit"
    assert problems.problem(Unavailable("x.y", "No.", retry_after_s=2.2)).headers["retry-after"] == "3"
    assert "field" not in json.loads(problems.problem(Refused("x.y", "No.")).body)


def test_the_errors_of_a_batch_stand_in_one_answer_up_to_a_limit():
    errors = [Refused("event.type", f"No. {number}", field=f"{number}.type") for number in range(150)]
    body = json.loads(problems.problem(Refused("batch", "Some failed."), errors=errors).body)
    assert len(body["errors"]) == problems.ERRORS_MAX
    assert body["errors"][3]["field"] == "3.type"


async def test_every_answer_of_an_app_that_went_wrong_is_a_problem():
    async def broken(request: Request) -> Response:
        raise {"refused": Refused("a.b", "No.", field="c"), "fault": ValueError("secret inside")}[request.url.path[1:]]

    app = Starlette(
        routes=[Route("/refused", broken), Route("/fault", broken)],
        exception_handlers={
            BeckonError: problems.on_error,
            HTTPException: problems.on_http_exception,
            Exception: problems.on_fault,
        },
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:

        async def ask(path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
            answer = await client.request(method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            return answer.status_code, answer.json()

        assert (await ask("/refused"))[0] == 422
        status, body = await ask("/fault")
        assert status == 500
        assert "secret" not in json.dumps(body)
        assert (await ask("/nowhere"))[1]["code"] == "http.not_found"
        answer = await client.get("/no<b>where", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "Not found" in answer.text
        assert "<b>" not in answer.text
        status, body = await ask("/refused", "POST")
        assert (status, body["code"]) == (405, "http.method")
