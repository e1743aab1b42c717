"""Session descriptions (RFC 8866, RFC 3264), as far as a phone call needs them: one audio stream of G.711. Pure."""

import re
from ipaddress import IPv4Address

import msgspec

from beckon.providers.sip.media.g711 import ALAW, ULAW

_LINES_MAX = 400
_CHARS_MAX = 32_768
_NAMES = {ULAW: "PCMU/8000", ALAW: "PCMA/8000"}
_RTPMAP = re.compile(r"(\d{1,3}) +([\w.-]+)/(\d+)")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_MIRROR = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class NotAcceptable(Exception):
    """There is nothing in it that both sides can hear; ``status`` is what SIP answers."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Stream(msgspec.Struct, frozen=True):
    """What the other side said about its audio."""

    host: str
    port: int
    #: the G.711 law that both know, by payload type
    law: int
    #: the payload type of telephone-event; -1: it knows none
    key_type: int
    #: sendrecv, sendonly, recvonly, inactive: as the other side sees it
    direction: str
    #: every m= line as it came, and which one is the audio: an answer has to name them all
    lines: tuple[str, ...]
    chosen: int

    @property
    def sends(self) -> bool:
        """The other side sends."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def hears(self) -> bool:
        """The other side listens."""
        return self.direction in ("sendrecv", "recvonly")


def read(text: str) -> Stream:
    """Read an offer or an answer. Raises ``NotAcceptable``."""
    lines = text[:_CHARS_MAX].replace("\r\n", "\n").split("\n")[:_LINES_MAX]
    session: list[str] = []
    streams: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            streams.append([line])
        elif len(line) > 2 and line[1] == "=":
            (streams[-1] if streams else session).append(line)
    if not any(line.startswith("v=") for line in session):
        raise NotAcceptable(400, "the session description is none")
    given = tuple(stream[0][2:] for stream in streams)
    for at, stream in enumerate(streams):
        found = _audio(session, stream)
        if found is not None:
            host, port, law, key_type, direction = found
            return Stream(host, port, law, key_type, direction, given, at)
    raise NotAcceptable(488, "there is no audio in G.711 in the session description")


def _audio(session: list[str], stream: list[str]) -> tuple[str, int, int, int, str] | None:
    parts = stream[0][2:].split()
    if len(parts) < 4 or parts[0] != "audio" or parts[2] not in ("RTP/AVP", "RTP/AVPF"):
        return None
    port_text = parts[1].partition("/")[0]
    if not port_text.isdecimal() or not 0 < int(port_text) < 65_536:
        return None
    formats = [int(each) for each in parts[3:] if each.isdecimal() and len(each) < 4]
    laws = [each for each in formats if each in _NAMES]
    if not laws:
        return None
    key_type = -1
    for line in stream:
        mapped = _RTPMAP.match(line[9:]) if line.startswith("a=rtpmap:") else None
        if mapped and mapped[2].lower() == "telephone-event" and mapped[3] == "8000" and int(mapped[1]) in formats:
            key_type = int(mapped[1])
    host = _connection(stream) or _connection(session)
    if host is None:
        return None
    direction = _direction(stream) or _direction(session) or "sendrecv"
    return host, int(port_text), laws[0], key_type, direction


def _connection(lines: list[str]) -> str | None:
    for line in lines:
        parts = line[2:].split()
        if line.startswith("c=") and len(parts) == 3 and parts[:2] == ["IN", "IP4"]:
            try:
                return str(IPv4Address(parts[2].partition("/")[0]))
            except ValueError:
                return None
    return None


def _direction(lines: list[str]) -> str:
    return next((line[2:] for line in lines if line.startswith("a=") and line[2:] in _DIRECTIONS), "")


def offer(host: str, port: int, version: int, *, direction: str = "sendrecv") -> str:
    """Our offer: both laws, and keys."""
    return _write(host, port, version, [_line(port, (ALAW, ULAW), 101)], 0, (ALAW, ULAW), 101, direction)


def answer(to: Stream, host: str, port: int, version: int, *, direction: str = "") -> str:
    """Our answer to an offer: its audio in the law that was chosen, everything else refused."""
    lines = []
    for at, line in enumerate(to.lines):
        parts = line.split()
        if at == to.chosen:
            lines.append(_line(port, (to.law,), to.key_type))
        elif len(parts) >= 4:
            lines.append(" ".join([parts[0], "0", parts[2], parts[3]]))
        else:
            lines.append("audio 0 RTP/AVP 0")
    mirrored = direction or _MIRROR[to.direction]
    return _write(host, port, version, lines, to.chosen, (to.law,), to.key_type, mirrored)


def _line(port: int, laws: tuple[int, ...], key_type: int) -> str:
    formats = [*laws, key_type] if key_type >= 0 else [*laws]
    return f"audio {port} RTP/AVP {' '.join(map(str, formats))}"


def _write(
    host: str,
    port: int,
    version: int,
    lines: list[str],
    chosen: int,
    laws: tuple[int, ...],
    key_type: int,
    direction: str,
) -> str:
    out = ["v=0", f"o=beckon {port} {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    for at, line in enumerate(lines):
        out.append(f"m={line}")
        if at != chosen:
            continue
        out += [f"a=rtpmap:{law} {_NAMES[law]}" for law in laws]
        if key_type >= 0:
            out += [f"a=rtpmap:{key_type} telephone-event/8000", f"a=fmtp:{key_type} 0-15"]
        out += ["a=ptime:20", f"a={direction}"]
    return "\r\n".join(out) + "\r\n"
