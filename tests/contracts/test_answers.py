"""Whatever an HTTP party answers, a channel raises one of the four kinds, and knows what is doubtful."""

import pytest

from beckon.core.errors import BeckonError, Misconfigured, Unavailable
from beckon.messaging.channel import Reply
from tests.contracts.conftest import Stand, only
from tests.contracts.connections import AnsweringConnections

BODIES = [
    b"",
    b"<html>Bad gateway</html>",
    b"{}",
    b"[]",
    b"null",
    b'{"error":{}}',
    b'{"error":{"code":"x"}}',
    b'{"code":"x","messages":[]}',
    b'{"messages":[{}]}',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"error":{"code":999999,"error_data":{"details":"to +32475123456"}},"code":999999}',
]

HTTP = only(lambda provider: "base_url" in provider.settings.__struct_fields__)


async def answered(stand: Stand, reply: Reply) -> BeckonError | None:
    channel = stand.open(stand.settings, stand.case.behind(AnsweringConnections(reply)))
    try:
        await channel.send(stand.outbound(stand.case.template))
    except BeckonError as error:
        return error
    return None


@pytest.mark.parametrize("status", [200, 201, 202])
@HTTP
async def test_a_success_without_an_id_is_doubtful(stand: Stand, status: int):
    for body in BODIES:
        error = await answered(stand, Reply(status, {}, body))
        assert isinstance(error, Unavailable), body[:40]
        assert error.doubtful


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 418, 422, 429, 500, 502, 503, 504, 301, 100])
@HTTP
async def test_a_failure_is_one_of_the_four_kinds_whatever_its_body_says(stand: Stand, status: int):
    for body in BODIES:
        error = await answered(stand, Reply(status, {}, body))
        assert error is not None
        assert error.kind in ("refused", "unavailable", "unsupported", "misconfigured")
        assert "32475123456" not in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "doubtful"),
    [(429, Unavailable, False), (503, Unavailable, False), (502, Unavailable, True), (504, Unavailable, True)],
)
@HTTP
async def test_an_answer_of_something_in_between_is_read_by_its_status(
    stand: Stand, status: int, kind: type[BeckonError], doubtful: bool
):
    error = await answered(stand, Reply(status, {}, b"<html>"))
    assert isinstance(error, kind)
    assert getattr(error, "doubtful", False) is doubtful


@pytest.mark.parametrize("status", [401, 403, 301, 404])
@HTTP
async def test_a_wrong_url_or_key_is_the_operator_s_affair(stand: Stand, status: int):
    assert isinstance(await answered(stand, Reply(status, {}, b"<html>")), Misconfigured)


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "99999999"}, 3600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 13:00:30 GMT", "date": "Fri, 20 Nov 2026 13:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT", "date": "Fri, 20 Nov 2026 13:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 20 Nov 2026 13:00:30 GMT"}, None),
        ({}, None),
    ],
)
@HTTP
async def test_the_pause_that_is_asked_for_is_known(stand: Stand, headers: dict[str, str], pause_s: float | None):
    error = await answered(stand, Reply(429, headers, b""))
    assert isinstance(error, Unavailable)
    assert error.retry_after_s == pause_s
