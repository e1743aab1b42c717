"""The tests' own equipment does what it promises."""

import asyncio
import socket
import sqlite3

import asyncpg
import pytest
import uvloop
from playwright.async_api import Page

from tests.kit.guards import NetworkForbidden
from tests.kit.postgres import PostgresServer


@pytest.mark.parametrize("host", ["192.0.2.1", "198.51.100.7", "2001:db8::1", "example.com"])
async def test_nothing_but_loopback_is_reachable(host: str, network_refusals: list[str]):
    with pytest.raises(NetworkForbidden):
        await asyncio.open_connection(host, 80)
    with pytest.raises(NetworkForbidden):
        socket.create_connection((host, 80), timeout=1)
    assert set(network_refusals) == {host}


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com"])
def test_uvloop_reaches_nothing_but_loopback_either(host: str, network_refusals: list[str]):
    async def reach_out() -> None:
        await asyncio.open_connection(host, 80)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, pytest.raises(NetworkForbidden):
        runner.run(reach_out())
    assert network_refusals == [host]


async def test_loopback_is_reachable():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
        writer.close()
        await writer.wait_closed()


async def test_each_test_gets_an_empty_postgresql(postgres_url: str):
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
        await connection.execute("CREATE TABLE left_behind (number int)")
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_the_same_test_runs_over_both_databases(database_url: str, turn: int):
    if database_url.startswith("sqlite:///"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        connection.execute("CREATE TABLE visits (number int)")
        connection.close()
    else:
        other = await asyncpg.connect(database_url)
        await other.execute("CREATE TABLE visits (number int)")
        await other.close()


async def test_a_private_postgresql_survives_being_killed(private_postgres: PostgresServer):
    private_postgres.sql("CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)")
    private_postgres.kill()
    with pytest.raises(OSError):
        await asyncpg.connect(private_postgres.url())
    private_postgres.start()
    assert private_postgres.sql("SELECT number FROM kept") == "7"


async def test_a_page_and_a_phone_are_two_people(page: Page, phone: Page):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<title>here</title><script>document.cookie = 'seen=1'</script>"
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\n")
        writer.write(f"content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        await page.goto(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert await page.title() == "here"
    assert len(await page.context.cookies()) == 1
    assert await phone.context.cookies() == []
    assert await phone.evaluate("navigator.maxTouchPoints") > 0
