"""The probe: a caller and a customer in one process, which note on one clock what the switch adds.

Each packet says when it left, so the other side knows how long the switch had it; a key is sent as RFC 4733 and the
time is taken until the first packet with a prompt's tone is there. Reads its job from standard input.
"""

import json
import os
import re
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

_HEADER = struct.Struct("!BBHLL")
_FRAME_S = 0.02
_SO_TIMESTAMPNS = 35
_TIME = struct.Struct("@ll")
_LAW = 8


class Phone:
    """One plain phone: enough SIP for one call, and RTP that carries clock readings."""

    def __init__(self, name: str, port: int = 0) -> None:
        self.name = name
        self.sip = _bound(port)
        self.rtp = _bound(0)
        self.port: int = self.sip.getsockname()[1]
        self.remote: tuple[str, int] | None = None
        self.sequence = 0
        self.stamp = 0
        self.tag = f"{name}-{time.monotonic_ns()}"

    def description(self) -> str:
        """What it takes."""
        port = self.rtp.getsockname()[1]
        return (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n"
            "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        )

    def send(self, payload: bytes, kind: int = _LAW, *, stamp: int | None = None, marker: int = 0) -> None:
        """Send one packet."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        head = _HEADER.pack(0x80, marker | kind, self.sequence, self.stamp if stamp is None else stamp, 77)
        if self.remote is not None:
            self.rtp.sendto(head + payload, self.remote)

    def send_key(self, key: str) -> int:
        """Send a key; when its first packet left, in nanoseconds."""
        event = "0123456789*#".index(key)
        started, left = self.stamp, 0
        for at in range(4):
            body = bytes([event, 10 | (0x80 if at else 0)]) + (160 * (at + 1)).to_bytes(2)
            left = left or time.time_ns()
            self.send(body, 101, stamp=started, marker=0 if at else 0x80)
        self.stamp += 640
        return left


def _bound(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", port))
    opened.settimeout(20)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return opened


def _take(opened: socket.socket) -> tuple[bytes, int]:
    """A packet, and when the kernel had it: a probe that has to wait for a core measures no less."""
    packet, more, _, _ = opened.recvmsg(2_048, 64)
    seconds, rest = _TIME.unpack_from(more[0][2])
    return packet, seconds * 1_000_000_000 + rest


def _media_of(message: str) -> tuple[str, int]:
    found = re.search(r"m=audio (\d+)", message)
    assert found is not None, message
    return "127.0.0.1", int(found.group(1))


def _tag_of(message: str) -> str:
    found = re.search(r"^To:.*?;tag=([^\s;]+)", message, re.MULTILINE | re.IGNORECASE)
    return found.group(1) if found else ""


class Call:
    """The caller's side of one call through the switch."""

    def __init__(self, phone: Phone, switch: int, called: str) -> None:
        self.phone, self.switch, self.called = phone, switch, called
        self.call_id = f"probe-{time.monotonic_ns()}"
        self.to_tag = ""
        self.cseq = 0

    def request(self, method: str, body: str = "", cseq: int | None = None) -> None:
        """Send a request."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        to_tag = f";tag={self.to_tag}" if self.to_tag else ""
        lines = [
            f"{method} sip:{self.called}@127.0.0.1:{self.switch} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.phone.port};branch=z9hG4bK{self.call_id}{cseq}{method};rport",
            f"From: <sip:{self.phone.name}@127.0.0.1>;tag={self.phone.tag}",
            f"To: <sip:{self.called}@127.0.0.1>{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{self.phone.name}@127.0.0.1:{self.phone.port}>",
            "Max-Forwards: 70",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.phone.sip.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), ("127.0.0.1", self.switch))

    def invite(self) -> None:
        """Call, until it is answered."""
        self.request("INVITE", self.phone.description())
        while True:
            message = self.phone.sip.recv(65_536).decode()
            if message.startswith("SIP/2.0 200"):
                break
            if not message.startswith("SIP/2.0 1"):
                raise SystemExit(f"the probe's call was refused: {message.splitlines()[0]}")
        self.to_tag = _tag_of(message)
        self.phone.remote = _media_of(message)
        self.request("ACK", cseq=self.cseq)

    def hang_up(self) -> None:
        """Hang up."""
        self.request("BYE")
        while not self.phone.sip.recv(65_536).startswith(b"SIP/2.0 200"):
            pass


def answer(phone: Phone) -> None:
    """Answer the call that comes in."""
    while True:
        message, source = phone.sip.recvfrom(65_536)
        text = message.decode()
        if text.startswith("INVITE"):
            break
    phone.remote = _media_of(text)
    phone.sip.sendto(_response(text, phone, phone.description()), source)
    while not phone.sip.recv(65_536).startswith(b"ACK"):
        pass


def _response(request: str, phone: Phone, body: str) -> bytes:
    kept = [
        line
        for line in request.split("\r\n\r\n")[0].split("\r\n")[1:]
        if line.lower().startswith(("via:", "from:", "to:", "call-id:", "cseq:", "record-route:"))
    ]
    kept = [
        f"{line};tag={phone.tag}" if line.lower().startswith("to:") and "tag=" not in line else line for line in kept
    ]
    lines = ["SIP/2.0 200 OK", *kept, f"Contact: <sip:{phone.name}@127.0.0.1:{phone.port}>"]
    lines += [*(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def probe_instructions(switch: int, rounds: int) -> list[float]:
    """From a key's first packet to the first packet of the prompt that it causes, in ms."""
    out = []
    phone = Phone("+3249000001")
    call = Call(phone, switch, "echo")
    call.invite()
    for turn in range(rounds):
        # Never at the same place between two ticks.
        _drain(phone, 0.1 + turn % 20 / 1000)
        left = phone.send_key("5")
        out.append((_first_tone(phone) - left) / 1e6)
        _drain(phone, 0.1)
    call.hang_up()
    return out


def _drain(phone: Phone, seconds: float) -> None:
    """Be a phone that is quiet for a moment: silence goes out and is thrown away when it comes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        phone.send(b"\xd5" * 160)
        phone.stamp += 160
        _take_for(phone, _FRAME_S)


def _take_for(phone: Phone, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([phone.rtp], [], [], left)[0]:
            _take(phone.rtp)


def _first_tone(phone: Phone) -> int:
    while True:
        packet, at_ns = _take(phone.rtp)
        if len(set(packet[12:])) > 8:
            return at_ns


def probe_jitter(switch: int, customer_port: int, seconds: float) -> tuple[list[float], int]:
    """How long the switch had each packet of a bridged call, in ms; and how many were lost."""
    caller, customer = Phone("+3249000002"), Phone("customer", customer_port)
    call = Call(caller, switch, "4700")
    call.invite()
    for key in "4700#":
        _drain(caller, 0.06)
        caller.send_key(key)
    answer(customer)
    _drain(caller, 0.2)
    took: list[float] = []
    sent = 0
    due = time.monotonic()
    until = due + seconds
    while due < until:
        caller.send(b"@" + time.time_ns().to_bytes(8) + b"\xd5" * 151)
        caller.stamp += 160
        sent += 1
        due += _FRAME_S
        while (left := due - time.monotonic()) > 0:
            for ready in select.select([customer.rtp, caller.rtp], [], [], left)[0]:
                packet, at_ns = _take(ready)
                if ready is customer.rtp and packet[12:13] == b"@":
                    took.append((at_ns - int.from_bytes(packet[13:21])) / 1e6)
    call.hang_up()
    return took, sent - len(took)


def main() -> None:
    """Do what the job says, at once when something comes: the probe must not wait where the switch doesn't."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    job: dict[str, Any] = json.load(sys.stdin)
    out: dict[str, Any] = {}
    if job.get("rounds"):
        out["instructions_ms"] = probe_instructions(job["switch"], job["rounds"])
    if job.get("seconds"):
        out["relayed_ms"], out["lost"] = probe_jitter(job["switch"], job["customer"], job["seconds"])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
