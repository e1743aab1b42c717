"""A vendor that asks for documents, at the server's own door: from beckon.yaml to the kept call."""

from pathlib import Path

import httpx
import pytest

from tests.journeys.test_calls_kept import ANN, DESK, SCRIPT, STORE, over, rows
from tests.kit.switches import until
from tests.providers.exchange import Exchange, exchanging
from tests.providers.jambonz.twin import ACCOUNT, SECRET, SpeaksJambonz
from tests.providers.twilio_voice.twin import ACCOUNT as SID
from tests.providers.twilio_voice.twin import TOKEN, SpeaksTwilio
from tests.rooms.worker.stage import line

PUBLIC = "http://beckon.test"


def settings_of(exchange: Exchange) -> str:
    rest = f"http://127.0.0.1:{exchange.port}/api"
    if exchange.name == "jambonz":
        return f"{{ url: {rest}/v1, account_sid: {ACCOUNT}, api_key: key, webhook_secret: {SECRET} }}"
    return f'{{ base_url: {rest}, account_sid: {SID}, auth_token: "{TOKEN}" }}'


@pytest.mark.parametrize("speaks", [SpeaksJambonz(), SpeaksTwilio()], ids=["jambonz", "twilio_voice"])
async def test_a_call_comes_in_at_the_servers_hook_and_is_kept(
    speaks: SpeaksJambonz | SpeaksTwilio, database_url: str, tmp_path: Path
) -> None:
    name = "jambonz" if isinstance(speaks, SpeaksJambonz) else "twilio_voice"
    async with exchanging(speaks, name) as exchange:
        more = f"""\
telephony:
  switch: {{ {name}: {settings_of(exchange)} }}
  numbers: {{ "{STORE}": desk }}
  caller_id: "{STORE}"
values: {{ desk: "{DESK}" }}
"""
        script = SCRIPT.replace("    record: true\n", "")
        async with line(
            database_url, tmp_path, files={"scripts/desk.yaml": script}, more=more, public_url=PUBLIC
        ) as on:
            on.rests = False
            transport = httpx.ASGITransport(app=on.beckon.app)
            await exchange._client.aclose()
            exchange.hook = f"{PUBLIC}/hooks/main/{name}"
            exchange.clock = on.clock
            exchange._client = httpx.AsyncClient(transport=transport, timeout=300)
            phone = exchange.call_in(ANN, STORE)
            exchange.press(phone, "4711")
            await until(lambda: phone.room or exchange.failures)
            assert exchange.failures == []
            await exchange.hang_up_by(phone)
            await over(on)
            [kept] = await rows(on)
            assert (kept["outcome"], kept["script"]) == ("connected", "desk")
