"""A soft phone that does as it is told, right or wrong: SIP as text, RTP as bytes, on one event loop."""

import asyncio
import re
import struct
from collections.abc import Callable
from hashlib import md5
from itertools import count
from types import TracebackType

from beckon.providers.sip.media.g711 import ALAW, ULAW, decode, encode
from beckon.providers.sip.media.tones import sine

HEADER = struct.Struct("!BBHLL")
WAIT_S = 300.0
_FRAME = 160
_NUMBERS = count(1)


class Message:
    """One SIP message, taken apart."""

    def __init__(self, text: str) -> None:
        head, _, self.body = text.partition("\r\n\r\n")
        self.text = text
        self.start, *lines = head.split("\r\n")
        self.lines = lines
        self.headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.strip().lower(), value.strip())

    @property
    def status(self) -> int:
        """A response's status; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """A request's method, or that which a response answers."""
        return self.headers["cseq"].split()[1] if self.status else self.start.split()[0]

    @property
    def to_tag(self) -> str:
        """The tag of the called side."""
        found = re.search(r";tag=([^\s;>]+)", self.headers["to"])
        return found.group(1) if found else ""

    @property
    def media(self) -> tuple[str, int]:
        """Where its session description wants audio."""
        host, port = re.search(r"c=IN IP4 (\S+)", self.body), re.search(r"m=audio (\d+)", self.body)
        assert host is not None, self.text
        assert port is not None, self.text
        return host.group(1), int(port.group(1))


class Inbox(asyncio.DatagramProtocol):
    """Hands on what a socket takes."""

    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, addr)


class SoftPhone:
    """One phone. Its ``law`` is what it speaks; ``keys`` whether it offers telephone-events."""

    def __init__(self, user: str, switch: int, *, password: str = "", law: int = ALAW, keys: bool = True) -> None:
        self.user, self.switch, self.password, self.law, self.keys = user, switch, password, law, keys
        self.messages: list[Message] = []
        self.packets: list[tuple[int, int, int, int, bytes]] = []
        self.remote: tuple[str, int] | None = None
        number = next(_NUMBERS)  # a phone that is gone may have lain where this one lies
        self.call_id = f"{user}-{number}"
        self.tag = f"tag{number}"
        self.to_tag = ""
        self.cseq = 0
        self.peer = ""
        self.changed = asyncio.Event()
        self._taken = 0
        self._sequence = 0
        self.stamp = 0
        self.ssrc = 0x5EED_0000 + number
        self._invite: Message | None = None
        self._talking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SoftPhone":
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", 0)
        self._sip, _ = await loop.create_datagram_endpoint(lambda: Inbox(self._take_sip), local_addr=address)
        self._rtp, _ = await loop.create_datagram_endpoint(lambda: Inbox(self._take_rtp), local_addr=address)
        self.port: int = self._sip.get_extra_info("sockname")[1]
        self.rtp_port: int = self._rtp.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hush()
        self._sip.close()
        self._rtp.close()
        await asyncio.sleep(0)

    # SIP.

    def _take_sip(self, data: bytes, source: tuple[str, int]) -> None:
        self.messages.append(Message(data.decode()))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something of what came makes it true."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def next(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message like that; others are passed over."""
        found: list[Message] = []

        def look() -> bool:
            while self._taken < len(self.messages) and not found:
                message = self.messages[self._taken]
                self._taken += 1
                if wanted(message):
                    found.append(message)
            return bool(found)

        await self.until(look)
        return found[0]

    async def response(self, status: int, method: str = "INVITE") -> Message:
        """The next final response to a method, which must be this one; 1xx: the next of that status."""
        message = await self.next(
            lambda each: each.method == method and (each.status >= 200 or each.status == status) and each.status > 0
        )
        assert message.status == status, message.text
        return message

    async def request(self, method: str) -> Message:
        """The next request of this method."""
        return await self.next(lambda message: not message.status and message.method == method)

    def send(self, message: str | bytes) -> None:
        """Send as it is."""
        self._sip.sendto(message if isinstance(message, bytes) else message.encode(), ("127.0.0.1", self.switch))

    def make(
        self, method: str, called: str, *more: str, body: str = "", cseq: int | None = None, branch: str = ""
    ) -> str:
        """A request's text, in this phone's dialog; ``more`` are header lines, which replace those of the same name."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        branch = branch or f"{self.call_id}{cseq}{method}"
        lines = {
            "via": f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch};rport",
            "from": f"From: <sip:{self.user}@127.0.0.1>;tag={self.tag}",
            "to": f"To: <sip:{called}@127.0.0.1>{tag}",
            "call-id": f"Call-ID: {self.call_id}",
            "cseq": f"CSeq: {cseq} {method}",
            "contact": f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>",
            "max-forwards": "Max-Forwards: 70",
        }
        if body:
            lines["content-type"] = "Content-Type: application/sdp"
        for line in more:
            lines[line.partition(":")[0].lower()] = line
        lines["content-length"] = f"Content-Length: {len(body.encode())}"
        target = f"sip:{called}@127.0.0.1:{self.switch}"
        return "\r\n".join([f"{method} {target} SIP/2.0", *lines.values()]) + "\r\n\r\n" + body

    def description(self, direction: str = "sendrecv", *, version: int = 1, codecs: str = "") -> str:
        """What it takes."""
        named = {ALAW: "8 PCMA/8000", ULAW: "0 PCMU/8000"}[self.law]
        formats = codecs or f"{self.law} 101" if self.keys else f"{self.law}"
        lines = [
            *("v=0", f"o=- 1 {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"),
            *(f"m=audio {self.rtp_port} RTP/AVP {formats}", f"a=rtpmap:{named}"),
            *(["a=rtpmap:101 telephone-event/8000"] if self.keys else []),
            f"a={direction}",
        ]
        return "\r\n".join(lines) + "\r\n"

    async def call(self, called: str, *more: str, body: str | None = None) -> Message:
        """Call, and return the final answer; a challenge is met, a 2xx is acknowledged."""
        self.peer = called
        text = self.make("INVITE", called, *more, body=self.description() if body is None else body)
        self.send(text)
        answer = await self.next(lambda message: message.status >= 200 and message.method == "INVITE")
        if answer.status == 407:
            self.ack(answer)
            proof = self.proof(answer.headers["proxy-authenticate"], "INVITE", called)
            line = f"Proxy-Authorization: {proof}"
            self.send(self.make("INVITE", called, line, *more, body=self.description() if body is None else body))
            answer = await self.next(lambda message: message.status >= 200 and message.method == "INVITE")
        self.ack(answer)
        return answer

    def ack(self, answer: Message, body: str = "") -> None:
        """Acknowledge a final answer."""
        cseq = int(answer.headers["cseq"].split()[0])
        before, self.to_tag = self.to_tag, answer.to_tag
        branch = "" if answer.status < 300 else f"{self.call_id}{cseq}INVITE"
        self.send(self.make("ACK", self.peer, body=body, cseq=cseq, branch=branch))
        if answer.status >= 300:
            self.to_tag = before
        elif answer.body:
            self.remote = answer.media

    async def hang_up(self) -> None:
        """End the call that it began or took."""
        self.send(self.make("BYE", self.peer) if self._invite is None else self._bye_of_taken())
        await self.response(200, "BYE")

    def proof(self, challenge: str, method: str, user: str) -> str:
        """The header that answers a challenge."""
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge.removeprefix("Digest ")))
        uri = f"sip:{user}@127.0.0.1:{self.switch}"

        def digest(text: str) -> str:
            return md5(text.encode()).hexdigest()

        one = digest(f"{self.user}:{given['realm']}:{self.password}")
        response = digest(f"{one}:{given['nonce']}:00000001:abc:auth:{digest(f'{method}:{uri}')}")
        return (
            f'Digest username="{self.user}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{uri}", '
            f'response="{response}", qop=auth, nc=00000001, cnonce="abc", algorithm=MD5'
        )

    async def register(self, *, expires: int = 120) -> Message:
        """Register; the final answer."""
        kept, self.to_tag = self.to_tag, ""
        line = f"Expires: {expires}"
        self.send(self.make("REGISTER", self.user, line))
        answer = await self.next(lambda message: message.status >= 200 and message.method == "REGISTER")
        if answer.status == 401:
            proof = self.proof(answer.headers["www-authenticate"], "REGISTER", self.user)
            self.send(self.make("REGISTER", self.user, line, f"Authorization: {proof}"))
            answer = await self.next(lambda message: message.status >= 200 and message.method == "REGISTER")
        self.to_tag = kept
        return answer

    async def ring(self) -> Message:
        """Take the call that comes in as far as ringing."""
        invite = self._invite = await self.request("INVITE")
        self.reply(invite, 180, "Ringing")
        return invite

    async def take(self, *, body: str | None = None) -> Message:
        """Take the call that comes in."""
        invite = self._invite if self._invite is not None else await self.request("INVITE")
        self._invite = invite
        if invite.body:
            self.remote = invite.media
        self.reply(invite, 200, "OK", body=self.description() if body is None else body)
        await self.request("ACK")
        return invite

    def reply(self, request: Message, status: int, reason: str, *more: str, body: str = "") -> None:
        """Answer a request."""
        kept = [
            line
            for line in request.lines
            if line.lower().startswith(("via:", "from:", "to:", "call-id:", "cseq:", "record-route:"))
        ]
        kept = [
            f"{line};tag={self.tag}" if line.lower().startswith("to:") and "tag=" not in line and status > 100 else line
            for line in kept
        ]
        lines = [f"SIP/2.0 {status} {reason}", *kept, *more, f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>"]
        lines += [*(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
        self.send("\r\n".join(lines) + "\r\n\r\n" + body)

    def in_taken_dialog(self, method: str, *more: str, body: str = "") -> str:
        """A request in the dialog of the call that it took."""
        assert self._invite is not None
        self.cseq += 1
        sender = self._invite.headers["from"]
        target = re.search(r"<([^>]+)>", self._invite.headers["contact"])
        assert target is not None
        lines = [
            f"{method} {target.group(1)} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.tag}{self.cseq}{method}",
            f"From: {self._invite.headers['to']};tag={self.tag}",
            f"To: {sender}",
            f"Call-ID: {self._invite.headers['call-id']}",
            f"CSeq: {self.cseq} {method}",
            f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            *more,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def _bye_of_taken(self) -> str:
        return self.in_taken_dialog("BYE")

    def grant(self, request: Message) -> None:
        """200 to a request."""
        self.reply(request, 200, "OK")

    # RTP.

    def _take_rtp(self, data: bytes, source: tuple[str, int]) -> None:
        if len(data) >= HEADER.size:
            _, second, sequence, stamp, ssrc = HEADER.unpack_from(data)
            self.packets.append((second & 0x7F, sequence, stamp, ssrc, data[HEADER.size :]))
            self.changed.set()

    def send_packet(
        self, payload: bytes, kind: int | None = None, *, stamp: int | None = None, marker: int = 0
    ) -> None:
        """Send one RTP packet."""
        assert self.remote is not None
        self._sequence = (self._sequence + 1) & 0xFFFF
        kind = self.law if kind is None else kind
        head = HEADER.pack(0x80, marker | kind, self._sequence, self.stamp if stamp is None else stamp, self.ssrc)
        self._rtp.sendto(head + payload, self.remote)

    def talk(self, hertz: float) -> None:
        """Send a tone until ``hush``."""
        tone = sine((hertz,), 1_000)
        audio = encode(decode(tone, ULAW), self.law) if self.law != ULAW else tone
        # Whole periods in a second: it can go round without a click, but for the soft ends.
        self._talking = asyncio.create_task(self._talk(audio[_FRAME:-_FRAME]))

    async def _talk(self, audio: bytes) -> None:
        loop = asyncio.get_running_loop()
        due, at = loop.time(), 0
        while True:
            self.send_packet((audio + audio)[at : at + _FRAME])
            self.stamp = (self.stamp + _FRAME) & 0xFFFFFFFF
            at = (at + _FRAME) % len(audio)
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def hush(self) -> None:
        """Stop the tone."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)
            self._talking = None

    def press(self, key: str) -> None:
        """Press a key as RFC 4733: three packets, and its end three times."""
        event = "0123456789*#ABCD".index(key)
        began = self.stamp
        for at in range(6):
            ended = at >= 3
            duration = _FRAME * min(at + 1, 4)
            body = bytes([event, 0x80 | 10 if ended else 10]) + duration.to_bytes(2)
            self.send_packet(body, 101, stamp=began, marker=0x80 if at == 0 else 0)
        self.stamp = (self.stamp + 5 * _FRAME) & 0xFFFFFFFF

    def audio(self, since: int = 0) -> bytes:
        """What it heard, in the order in which it was sent, as µ-law or A-law of its own."""
        return b"".join(packet[4] for packet in self.packets[since:] if packet[0] == self.law)

    async def hears(self, hertz: float, *, seconds: float = 0.3) -> None:
        """Wait until it hears a tone for so long."""
        from tests.providers.sip.tones import loudest

        frames = int(seconds * 50)
        await self.until(
            lambda: len(self.packets) >= frames and abs(loudest(decode(self.audio(-frames), self.law)) - hertz) < 20
        )
