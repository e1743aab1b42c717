"""Outbound HTTP/1.1 with kept connections: asyncio's transports and httptools' parser, and nothing between.

The hot path of the outbox. ``docs/decisions/0004-outbound-http.md`` has the measurement against general clients.
What it does not do, on purpose: follow redirects, keep cookies, decompress, speak HTTP/2, use proxies.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import SplitResult, urlsplit

import httptools

from beckon.core.errors import Refused, Unavailable
from beckon.core.exchange import Reply

#: Connections kept to one origin, and asked for at most.
_PER_ORIGIN_MAX = 128
_REPLY_SIZE_BYTES_MAX = 4 * 1024 * 1024
_HEADERS_MAX = 200
#: Bytes of one answer as it stands on the wire, with its headers and the sizes of its chunks.
_WIRE_SIZE_BYTES_MAX = 2 * _REPLY_SIZE_BYTES_MAX
#: Origins whose connections are kept: past that, the oldest of those that rest are let go.
_ORIGINS_MAX = 256


class _Exchange(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.exchanges = 0
        self._future: asyncio.Future[Reply] | None = None
        # One for the life of the connection: it begins anew after each answer.
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._wire_size = 0
        #: nothing says how long the answer is: it ends with the connection.
        self._until_closed = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by shape only

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._future is not None and not self._future.done():
            if self._until_closed and exc is None:
                self._answer()
            else:
                self._fail(Unavailable("http.connection_lost", "the other side closed the connection", doubtful=True))

    def data_received(self, data: bytes) -> None:
        if self._future is None:
            self.close()  # nobody asked
            return
        self._wire_size += len(data)
        if self._wire_size > _WIRE_SIZE_BYTES_MAX:
            self._too_large()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Unavailable("http.bad_reply", "the answer switches protocols", doubtful=True))
        except httptools.HttpParserError as error:
            self._fail(Unavailable("http.bad_reply", f"the answer is no HTTP: {error}", doubtful=True))

    # the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) < _HEADERS_MAX:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        headers = self._headers
        self._until_closed = "content-length" not in headers and "transfer-encoding" not in headers

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > _REPLY_SIZE_BYTES_MAX:
            self._too_large()
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._future is None:
            return
        if self._parser.get_status_code() < 200:
            self._headers, self._chunks, self._size = {}, [], 0
            return
        if not self._parser.should_keep_alive():
            self.close()
        self._answer()

    # ours

    def ask(self, request: bytes, future: "asyncio.Future[Reply]") -> None:
        self._reset()
        self._future = future
        if self.transport is None:
            self._fail(Unavailable("http.unreachable", "the connection was never made"))
            return
        self.exchanges += 1
        self.transport.write(request)

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            self.transport.close()

    def _answer(self) -> None:
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_result(Reply(self._parser.get_status_code(), self._headers, b"".join(self._chunks)))

    def _too_large(self) -> None:
        self._fail(Refused("http.reply_too_large", f"the answer is larger than {_REPLY_SIZE_BYTES_MAX} bytes"))

    def _fail(self, error: Exception) -> None:
        future, self._future = self._future, None
        self.close()
        if future is not None and not future.done():
            future.set_exception(error)


class _Origin:
    """The connections to one scheme, host and port."""

    __slots__ = ("idle", "open", "queue")

    def __init__(self) -> None:
        self.idle: list[_Exchange] = []
        self.open = 0
        self.queue: list[asyncio.Future[None]] = []


class PooledConnections:
    """``messaging.channel.Connections`` for production.

    ``public_only`` refuses every address that is not public (loopback, private, link-local, cloud metadata …) but for
    the hosts in ``allowed``: for URLs that a flow's author or an event's content decides.
    """

    def __init__(self, *, public_only: bool = False, allowed: frozenset[str] = frozenset()) -> None:
        self._public_only = public_only
        self._allowed = allowed
        self._origins: dict[tuple[str, str, int], _Origin] = {}
        self._tls: ssl.SSLContext | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_s: float = 10.0,
        connect_s: float = 0.0,
    ) -> Reply:
        """One exchange. Raises ``Refused`` for a URL that is none, ``Unavailable`` for the network.

        ``connect_s``: how long connecting may take, where that is less than all.
        """
        parts = _parsed(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        request = self._written(method, parts, headers, body)
        key = (parts.scheme, host, port)
        origin = self._origins.get(key) or self._new_origin(key)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        exchange: _Exchange | None = None
        # A timer on the future costs a tenth of asyncio.timeout's task cancellation.
        timer = loop.call_later(timeout_s, _time_out, future)
        try:
            for _ in range(2):
                exchange = await self._connection(key, origin, min(connect_s or timeout_s, timeout_s))
                if future.done():
                    # The wait for a connection took all the time: nothing was written, and nothing will be.
                    raise Unavailable("http.no_connection", "no connection was free in time", retry_after_s=1)
                reused = exchange.exchanges > 0
                exchange.ask(request, future)
                try:
                    return await future
                except Unavailable as error:
                    # A kept connection that the other side had closed meanwhile: the request was never read.
                    if not (reused and error.code == "http.connection_lost" and method in ("GET", "HEAD", "PUT")):
                        raise
                    self._give_back(origin, exchange)
                    exchange = None
                    future = loop.create_future()
                    timer.cancel()
                    timer = loop.call_later(timeout_s, _time_out, future)
            raise Unavailable("http.connection_lost", "the other side closed the connection twice", doubtful=True)
        finally:
            timer.cancel()
            failed = not future.done() or future.cancelled() or future.exception() is not None
            if exchange is not None:
                if failed:
                    exchange.close()
                self._give_back(origin, exchange)

    async def close(self) -> None:
        """Close what is kept."""
        for origin in self._origins.values():
            for exchange in origin.idle:
                exchange.close()
            origin.idle.clear()
        self._origins.clear()

    def _new_origin(self, key: tuple[str, str, int]) -> _Origin:
        if len(self._origins) >= _ORIGINS_MAX:
            resting = [known for known, origin in self._origins.items() if origin.open == len(origin.idle)]
            for known in resting[: max(1, len(self._origins) - _ORIGINS_MAX + 1)]:
                for exchange in self._origins.pop(known).idle:
                    exchange.close()
        origin = self._origins[key] = _Origin()
        return origin

    async def _connection(self, key: tuple[str, str, int], origin: _Origin, timeout_s: float) -> _Exchange:
        while True:
            while origin.idle:
                exchange = origin.idle.pop()
                if not exchange.closed:
                    return exchange
                origin.open -= 1
            if origin.open < _PER_ORIGIN_MAX:
                break
            free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            origin.queue.append(free)
            try:
                await asyncio.wait_for(free, timeout_s)
            except TimeoutError as error:
                raise Unavailable("http.no_connection", "no connection was free in time", retry_after_s=1) from error
        origin.open += 1
        try:
            return await asyncio.wait_for(self._connect(*key), timeout_s)
        except BaseException as error:
            origin.open -= 1
            self._wake(origin)
            if isinstance(error, UnicodeError):
                raise Refused("http.url", "the URL's host is no name that can be looked up") from error
            if isinstance(error, (OSError, TimeoutError)):
                raise Unavailable("http.unreachable", f"{key[1]}:{key[2]} can't be reached: {_plain(error)}") from error
            raise

    async def _connect(self, scheme: str, host: str, port: int) -> _Exchange:
        loop = asyncio.get_running_loop()
        tls = None
        if scheme == "https":
            if self._tls is None:
                self._tls = ssl.create_default_context()
            tls = self._tls
        target = host
        if self._public_only and f"{host}:{port}" not in self._allowed and host not in self._allowed:
            # The address that was checked is the one that is connected to: a second look-up could differ.
            target = await _public_address(host, port)
        _, exchange = await loop.create_connection(
            _Exchange, target, port, ssl=tls, server_hostname=host if tls is not None else None
        )
        transport = exchange.transport
        if transport is not None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return exchange

    def _give_back(self, origin: _Origin, exchange: _Exchange) -> None:
        if exchange.closed:
            origin.open -= 1
        else:
            origin.idle.append(exchange)
        self._wake(origin)

    def _wake(self, origin: _Origin) -> None:
        while origin.queue:
            waiting = origin.queue.pop(0)
            if not waiting.done():
                waiting.set_result(None)
                return

    def _written(self, method: str, parts: SplitResult, headers: Mapping[str, str] | None, body: bytes) -> bytes:
        target = parts.path or "/"
        if parts.query:
            target = f"{target}?{parts.query}"
        lines = [f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}"]
        if headers:
            for name, value in headers.items():
                if "\n" in value or "\r" in value or "\n" in name or "\r" in name:
                    raise Refused("http.header", f"the header {name!r} has a line break in it")
                lines.append(f"{name}: {value}")
        if body or method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body)}")
        lines.append("\r\n")
        try:
            return "\r\n".join(lines).encode("latin-1") + body
        except UnicodeEncodeError as error:
            raise Refused("http.header", "a header or the URL has characters that HTTP can't carry") from error


def _time_out(future: "asyncio.Future[Reply]") -> None:
    if not future.done():
        future.set_exception(Unavailable("http.timeout", "no answer in time", doubtful=True))


@lru_cache(maxsize=1_024)  # a provider's URL is the same a million times
def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Refused("http.url", f"this is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise Refused("http.url", "a URL starts with http:// or https:// and names a host")
    if any(character <= " " or character == "\x7f" for character in url):
        raise Refused("http.url", "the URL has blanks or control characters in it: encode them as %20")
    return parts


async def _public_address(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _, _, _, _, address in found:
        if not _is_public(str(address[0]).split("%")[0]):
            raise Refused(
                "http.private_address",
                f"{host} leads to an address that is not public; if you mean it, name the host in allowed_hosts",
            )
    return str(found[0][4][0])


#: NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_public(text: str) -> bool:
    """Whether an address is one of the public network's; an IPv6 address that carries an IPv4 one, by both."""
    ip = ipaddress.ip_address(text)
    if not ip.is_global or ip.is_multicast:
        return isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None and ip.ipv4_mapped.is_global
    if isinstance(ip, ipaddress.IPv4Address):
        return True
    carried = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    if carried is None and ip in _NAT64:
        carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return carried is None or carried.is_global


def _plain(error: BaseException) -> str:
    return (
        "time-out" if isinstance(error, TimeoutError) else (error.__class__.__name__ if not str(error) else str(error))
    )
