"""Outbound HTTP against a real server on loopback: what it keeps, what it refuses, and what it says when it fails."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from beckon.core.errors import BeckonError, Refused, Unavailable
from beckon.core.exchange import Reply
from beckon.outbox import connections as room
from beckon.outbox.connections import PooledConnections
from tests.rooms.outbox.party import Asked, party, reply, until

Writer = asyncio.StreamWriter


@pytest.fixture
async def connections() -> AsyncIterator[PooledConnections]:
    """Connections that may go anywhere."""
    made = PooledConnections()
    yield made
    await made.close()


async def failing(asking: Any) -> BeckonError:
    """The error of what must fail."""
    with pytest.raises(BeckonError) as caught:
        await asking
    return caught.value


# Asking and being answered.


async def test_a_request_arrives_as_it_was_asked_for(connections: PooledConnections):
    async with party(reply(b'{"id":1}', headers="X-Trace: abc\r\n")) as other:
        got = await connections.request(
            "POST", f"{other.url}/v1/messages?q=a%20b#part", headers={"Authorization": "Bearer x"}, body=b'{"to":1}'
        )
        assert got == Reply(200, {"content-length": "8", "x-trace": "abc"}, b'{"id":1}')
        [asked] = other.asked
        assert (asked.method, asked.target, asked.body) == ("POST", "/v1/messages?q=a%20b", b'{"to":1}')
        assert asked.headers["authorization"] == "Bearer x"
        assert asked.headers["host"] == f"127.0.0.1:{other.port}"
        assert asked.headers["content-length"] == "8"


async def test_a_get_has_no_length_and_a_path_of_its_own(connections: PooledConnections):
    async with party(reply()) as other:
        await connections.request("GET", other.url)
        assert other.asked[0].target == "/"
        assert "content-length" not in other.asked[0].headers


async def test_a_user_in_the_url_is_not_sent_along(connections: PooledConnections):
    async with party(reply()) as other:
        await connections.request("GET", f"http://user:secret@127.0.0.1:{other.port}/")
        assert "secret" not in str(other.asked[0])


async def test_one_connection_is_kept_for_all_that_come_one_after_the_other(connections: PooledConnections):
    async with party(reply()) as other:
        for _ in range(20):
            await connections.request("POST", other.url, body=b"x")
        assert other.connections == 1


async def test_connection_close_is_obeyed(connections: PooledConnections):
    async with party(reply(headers="Connection: close\r\n")) as other:
        for _ in range(3):
            await connections.request("GET", other.url)
        assert other.connections == 3


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", b"hello world"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nX-After: all\r\n\r\n", b"hi"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"after"), b"after"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + reply(b"after"), b"after"),
    ],
    ids=["chunks", "trailers", "no chunks", "204", "304", "100", "103 thrice"],
)
async def test_bodies_of_every_kind_are_read_and_the_connection_is_kept(
    answer: bytes, body: bytes, connections: PooledConnections
):
    async with party(answer) as other:
        for _ in range(2):
            got = await connections.request("POST", other.url, body=b"x")
            assert got.body == body
            assert "link" not in got.headers
        assert other.connections == 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n"])
async def test_an_answer_that_ends_with_the_connection_is_whole(head: bytes, connections: PooledConnections):
    async def answer(asked: Asked, writer: Writer) -> None:
        writer.write(head + b"all of it")
        await writer.drain()

    async with party(answer) as other:
        assert (await connections.request("GET", other.url)).body == b"all of it"


async def test_an_answer_that_comes_byte_by_byte_is_whole(connections: PooledConnections):
    async def answer(asked: Asked, writer: Writer) -> bytes:
        for byte in reply(b"slow"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        return b""

    async with party(answer) as other:
        assert (await connections.request("GET", other.url)).body == b"slow"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: str, connections: PooledConnections):
    async with party(reply(status=status, headers="Location: http://127.0.0.1:1/elsewhere\r\n")) as other:
        got = await connections.request("POST", other.url, headers={"Authorization": "secret"}, body=b"x")
        assert got.status == int(status[:3])
        assert len(other.asked) == 1


# Failing.


async def test_no_answer_in_time_is_doubtful_and_the_connection_is_not_used_again(connections: PooledConnections):
    late = asyncio.Event()

    async def answer(asked: Asked, writer: Writer) -> bytes:
        if asked.target == "/slow":
            await late.wait()
        return reply(asked.target.encode())

    async with party(answer) as other:
        # Over a connection that is there: what takes its time is the answer.
        await connections.request("GET", f"{other.url}/before")
        error = await failing(connections.request("POST", f"{other.url}/slow", body=b"x", timeout_s=0.5))
        assert isinstance(error, Unavailable)
        assert (error.code, error.doubtful) == ("http.timeout", True)
        late.set()
        assert (await connections.request("POST", f"{other.url}/next", body=b"x")).body == b"/next"
        assert other.connections == 2


async def test_half_an_answer_is_doubtful(connections: PooledConnections):
    async def answer(asked: Asked, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async with party(answer) as other:
        error = await failing(connections.request("POST", other.url, body=b"x"))
        assert (error.code, getattr(error, "doubtful", None)) == ("http.connection_lost", True)


async def test_a_port_where_nobody_listens_is_not_doubtful(connections: PooledConnections):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failing(connections.request("POST", f"http://127.0.0.1:{taken.getsockname()[1]}/", body=b"x"))
    assert isinstance(error, Unavailable)
    assert (error.code, error.doubtful) == ("http.unreachable", False)


async def test_connecting_may_be_given_less_time_than_all(connections: PooledConnections):
    never = asyncio.Event()

    async def connect(scheme: str, host: str, port: int) -> Any:
        await never.wait()

    connections._connect = connect  # type: ignore[method-assign]
    error = await failing(connections.request("GET", "http://127.0.0.1:9/", timeout_s=100, connect_s=0.01))
    assert (error.code, getattr(error, "doubtful", None)) == ("http.unreachable", False)


async def test_a_connection_that_closes_without_an_answer_is_doubtful_for_a_post(connections: PooledConnections):
    async def answer(asked: Asked, writer: Writer) -> None:
        return None

    async with party(answer) as other:
        error = await failing(connections.request("POST", other.url, body=b"x"))
        assert (error.code, getattr(error, "doubtful", None)) == ("http.connection_lost", True)
        assert len(other.asked) == 1


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1), ("DELETE", 1)])
async def test_a_kept_connection_that_closes_is_asked_anew_where_that_can_do_no_harm(
    method: str, times: int, connections: PooledConnections
):
    async def answer(asked: Asked, writer: Writer) -> bytes | None:
        return None if asked.target == "/second" and asked.connection == 1 else reply()

    async with party(answer) as other:
        await connections.request("GET", f"{other.url}/first")
        asking = connections.request(method, f"{other.url}/second")
        if times == 2:
            assert (await asking).status == 200
        else:
            assert (await failing(asking)).code == "http.connection_lost"
        assert [asked.target for asked in other.asked].count("/second") == times


async def test_connections_that_close_under_us_don_t_use_up_the_pool(
    connections: PooledConnections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_PER_ORIGIN_MAX", 2)

    async def answer(asked: Asked, writer: Writer) -> bytes | None:
        return reply() if asked.target == "/kept" else None

    async with party(answer) as other:
        for _ in range(6):
            await connections.request("GET", f"{other.url}/kept")
            assert (await failing(connections.request("GET", f"{other.url}/lost", timeout_s=300))).code == (
                "http.connection_lost"
            )
        assert (await connections.request("GET", f"{other.url}/kept", timeout_s=300)).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"this is no HTTP\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
        b"HTTP/1.1 99999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_doubtful(answer: bytes, connections: PooledConnections):
    async with party(answer) as other:
        error = await failing(connections.request("POST", other.url, body=b"x", timeout_s=300))
        assert (error.code, getattr(error, "doubtful", None)) == ("http.bad_reply", True)
        again = await failing(connections.request("POST", other.url, body=b"x", timeout_s=300))
        assert again.code == "http.bad_reply"


async def pour(writer: Writer, head: bytes, piece: bytes) -> None:
    """Write without end, as long as the other side takes it."""
    writer.write(head)
    while True:
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        (CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        (CHUNKED, b"1\r\nx\r\n" * 10_000),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\n", b"X-Many: y\r\n" * 6_000),
        (b"HTTP/1.1 ", b"2" * 65_536),
    ],
    ids=["a length", "no length", "chunks", "tiny chunks", "a header", "headers", "a status"],
)
async def test_an_answer_without_end_is_cut_off(head: bytes, piece: bytes, connections: PooledConnections):
    async def answer(asked: Asked, writer: Writer) -> None:
        await pour(writer, head, piece)

    async with party(answer) as other:
        error = await failing(connections.request("GET", other.url, timeout_s=300))
        assert error.code in ("http.reply_too_large", "http.bad_reply")


async def test_a_word_that_nobody_asked_for_ends_the_connection(connections: PooledConnections):
    """An answer smuggled in ahead of the next question is not taken for its answer."""

    async def answer(asked: Asked, writer: Writer) -> bytes:
        return reply(b"first") + (reply(b"smuggled") if asked.connection == 1 else b"")

    async with party(answer) as other:
        assert (await connections.request("GET", other.url)).body == b"first"
        await asyncio.sleep(0)
        assert (await connections.request("GET", other.url)).body == b"first"


# Saying what may not be said.


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "b\r\nX-Evil: 1"},
        {"X-A": "b\nX-Evil: 1"},
        {"X-A\r\nX-Evil": "1"},
        {"X-A": "b\rX-Evil: 1"},
    ],
)
async def test_a_header_can_not_bring_another(headers: dict[str, str], connections: PooledConnections):
    async with party(reply()) as other:
        error = await failing(connections.request("GET", other.url, headers=headers))
        assert (type(error), error.code) == (Refused, "http.header")
        assert other.asked == []


@pytest.mark.parametrize(
    "target",
    [
        "/x HTTP/1.1\r\nX-Evil: 1\r\n\r\n", "/x\nX-Evil:1", "/a b", "/\x00", "/\x7f", "/\t", "/?q=a\r\nHost: evil",
    ],
)  # fmt: skip
async def test_a_url_can_not_bring_a_header(target: str, connections: PooledConnections):
    async with party(reply()) as other:
        error = await failing(connections.request("GET", f"{other.url}{target}"))
        assert (type(error), error.code) == (Refused, "http.url")
        assert other.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "", "http://", "ftp://127.0.0.1/", "file:///etc/passwd", "//127.0.0.1/", "127.0.0.1", "http://:80/",
        "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "http://[::1/", "javascript:alert(1)", "gopher://127.0.0.1/",
        "http://127.0.0.1:0/",
    ],
)  # fmt: skip
async def test_what_is_no_url_is_refused(url: str, connections: PooledConnections):
    error = await failing(connections.request("GET", url))
    assert (type(error), error.code) == (Refused, "http.url")


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example", ".example", "a" * 300])
async def test_a_host_that_can_not_be_is_refused(host: str, connections: PooledConnections):
    error = await failing(connections.request("GET", f"http://{host}/", timeout_s=300))
    assert (type(error), error.code) == (Refused, "http.url")


async def test_letters_that_http_can_not_carry_are_refused(connections: PooledConnections):
    async with party(reply()) as other:
        assert (await failing(connections.request("GET", f"{other.url}/✓"))).code == "http.header"
        assert (await failing(connections.request("GET", other.url, headers={"X-Name": "✓"}))).code == "http.header"
        assert other.asked == []


# Many at once.


async def test_more_at_once_than_connections_are_all_answered_over_no_more_than_the_limit(
    connections: PooledConnections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_PER_ORIGIN_MAX", 8)

    async def answer(asked: Asked, writer: Writer) -> bytes:
        await asyncio.sleep(0)
        return reply(asked.body)

    async with party(answer) as other:
        got = await asyncio.gather(
            *[connections.request("POST", other.url, body=str(number).encode()) for number in range(300)]
        )
        assert [reply.body for reply in got] == [str(number).encode() for number in range(300)]
        assert other.open_max <= 8


async def test_who_gets_no_connection_in_time_has_sent_nothing(
    connections: PooledConnections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_PER_ORIGIN_MAX", 1)
    go_on = asyncio.Event()

    async def answer(asked: Asked, writer: Writer) -> bytes:
        await go_on.wait()
        return reply()

    async with party(answer) as other:
        first = asyncio.create_task(connections.request("POST", f"{other.url}/first", body=b"x"))
        await until(lambda: other.asked)
        error = await failing(connections.request("POST", f"{other.url}/second", body=b"x", timeout_s=0.05))
        assert isinstance(error, Unavailable)
        assert (error.code, error.doubtful) == ("http.no_connection", False)
        go_on.set()
        assert (await first).status == 200
        assert [asked.target for asked in other.asked] == ["/first"]


async def test_who_is_cancelled_frees_the_place(connections: PooledConnections, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "_PER_ORIGIN_MAX", 1)
    never = asyncio.Event()

    async def answer(asked: Asked, writer: Writer) -> bytes:
        if asked.target == "/never":
            await never.wait()
        return reply()

    async with party(answer) as other:
        stuck = asyncio.create_task(connections.request("GET", f"{other.url}/never"))
        waiting = asyncio.create_task(connections.request("GET", f"{other.url}/waiting", timeout_s=300))
        await until(lambda: other.asked)
        stuck.cancel()
        assert (await waiting).status == 200


async def test_the_connections_of_many_origins_are_not_kept_for_ever(
    connections: PooledConnections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(room, "_ORIGINS_MAX", 3)
    async with party(reply()) as first, party(reply()) as second, party(reply()) as third, party(reply()) as fourth:
        others = (first, second, third, fourth)
        for other in others:
            await connections.request("GET", other.url)
        await until(lambda: not first.open)
        assert [other.open for other in others] == [0, 1, 1, 1]


# TLS.


@pytest.fixture(scope="session")
def self_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed, and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return folder


def with_tls(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


async def test_a_certificate_that_nobody_signed_is_refused_before_anything_is_said(
    self_made: Path, connections: PooledConnections
):
    async with party(reply(), tls=with_tls(self_made)) as other:
        error = await failing(connections.request("POST", other.url, headers={"Authorization": "secret"}, body=b"x"))
        assert isinstance(error, Unavailable)
        assert (error.code, error.doubtful) == ("http.unreachable", False)
        assert "certificate" in error.why.lower()
        assert other.asked == []


async def test_a_certificate_that_the_machine_trusts_is_taken(
    self_made: Path, connections: PooledConnections, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(self_made / "cert.pem"))
    async with party(reply(b"safe"), tls=with_tls(self_made)) as other:
        assert (await connections.request("GET", other.url)).body == b"safe"
        error = await failing(connections.request("GET", f"https://localhost:{other.port}/"))
        assert error.code == "http.unreachable", "the certificate is for another name"


async def test_a_server_that_speaks_no_tls_is_unreachable(connections: PooledConnections):
    async with party(reply()) as other:
        error = await failing(connections.request("GET", f"https://127.0.0.1:{other.port}/", timeout_s=0.5))
        assert error.code == "http.unreachable"


# Public addresses only.

PRIVATE = (
    "127.0.0.1", "127.1", "127.0.0.53", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.9",
    "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]",
    "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[2001:db8::1]", "localhost", "LOCALHOST", "localhost.",
)  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_step_reaches_no_address_that_is_not_public(host: str, monkeypatch: pytest.MonkeyPatch):
    Names(monkeypatch)
    outside = PooledConnections(public_only=True)
    async with party(reply()) as other:
        error = await failing(outside.request("GET", f"http://{host}:{other.port}/", timeout_s=300))
        assert (type(error), error.code) == (Refused, "http.private_address")
        assert other.connections == 0
    await outside.close()


class Names:
    """What the look-up of a name gives, as often as it is asked; numbers are read as the C library reads them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> None:
        self.asked = 0
        self.answers = list(answers)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.getaddrinfo)

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        addresses = self._numeric(host) or self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]  # fmt: skip

    @staticmethod
    def _numeric(host: str) -> list[str]:
        if host.rstrip(".") == "localhost":
            return ["127.0.0.1", "::1"]
        for family, read in ((socket.AF_INET, socket.inet_aton), (socket.AF_INET6, _inet6)):
            with suppress(OSError):
                return [socket.inet_ntop(family, read(host))]
        return []


def _inet6(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, host)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:192.168.0.1"], ["fe80::1%eth0"], ["169.254.169.254"]],
)
async def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
):
    Names(monkeypatch, addresses)
    outside = PooledConnections(public_only=True)
    error = await failing(outside.request("GET", "http://innocent.example/"))
    assert (type(error), error.code) == (Refused, "http.private_address")


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
):
    """A name that answers with a public address first and with loopback a moment later gains nothing."""
    names = Names(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    tried: list[str] = []
    loop = asyncio.get_running_loop()

    async def connect(protocol: Any, host: str, port: int, **_: Any) -> Any:
        tried.append(host)
        raise ConnectionRefusedError("the test connects nowhere")

    monkeypatch.setattr(loop, "create_connection", connect)
    outside = PooledConnections(public_only=True)
    error = await failing(outside.request("GET", "http://rebinding.example/"))
    assert error.code == "http.unreachable"
    assert tried == ["93.184.215.14"]
    assert names.asked == 1


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.1:{port}"])
async def test_a_host_that_is_named_as_allowed_is_reached(named: str):
    async with party(reply(b"inside")) as other:
        outside = PooledConnections(public_only=True, allowed=frozenset({named.format(port=other.port)}))
        assert (await outside.request("GET", other.url)).body == b"inside"
        await outside.close()


async def test_a_host_that_is_allowed_on_one_port_is_not_on_another():
    async with party(reply()) as other:
        outside = PooledConnections(public_only=True, allowed=frozenset({f"127.0.0.1:{other.port + 1}"}))
        assert (await failing(outside.request("GET", other.url))).code == "http.private_address"
        assert other.connections == 0
