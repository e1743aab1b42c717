"""One leg's audio: what comes from its phone, whom it is handed to, and what is sent back.

The hot path is ``take_locked``: a packet is placed in the recordings and sent on with its header moved by constant
offsets. A leg that nobody talks to, or that is played to, is ticked every 20 ms by the engine.
"""

import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

from beckon.core.ids import chance
from beckon.providers.sip.media import keys, ports
from beckon.providers.sip.media.dtmf import Tones
from beckon.providers.sip.media.g711 import ALAW, SILENCE, TURNED, ULAW, turn
from beckon.providers.sip.media.playing import Playback
from beckon.providers.sip.media.rtcp import Reception, report
from beckon.providers.sip.media.rtp import FRAME, HEADER, HEADER_BYTES, MARKER, PLAIN, SAMPLES_A_SECOND, plain
from beckon.providers.sip.media.tracks import Track

_PACKET_BYTES_MAX = 1_500
_WRAP = 0xFFFFFFFF
#: Packets from one strange source after which it is the phone (behind a NAT its address is not the one it told).
_LATCH_PACKETS = 5
#: A pause in what we send from which on its time stamps follow the clock.
_PAUSE_S = 0.06
#: Samples that idle silence may run ahead of the clock before it waits.
_AHEAD = FRAME // 2
_KEYS_MAX = 64
#: A key's packet that is up to so much older than the last key's is late: five seconds, in samples.
_OLD = 5 * SAMPLES_A_SECOND
_NOBODY = -1

_unpack = HEADER.unpack_from
_pack = HEADER.pack


class Ears(Protocol):
    """What a leg needs of the engine."""

    def heard(self, leg: "Leg", key: str, by: str) -> None: ...
    def played(self, leg: "Leg", playback: Playback, end: str) -> None: ...
    def retime(self, leg: "Leg", now_s: float) -> None: ...
    def relisten(self, leg: "Leg") -> None: ...
    def early_audio(self, leg: "Leg", now_s: float) -> None: ...


class Leg:
    """One phone's audio."""

    def __init__(
        self, name: str, host: str, pair: tuple[socket.socket, socket.socket], ears: Ears, now_s: float
    ) -> None:
        self.name = name
        self.rtp, self.rtcp = pair
        self._host = host
        self._ears = ears
        self.port: int = self.rtp.getsockname()[1]
        self.law = ULAW
        self.key_type = -1
        #: the phone sends; the phone wants to hear; we may send; it was answered
        self.sends, self.hears, self.live, self.answered = True, True, False, False
        #: who hears this leg, and whom it hears
        self.hearer: Leg | None = None
        self.talker: Leg | None = None
        #: recordings of what the phone says, and of what it hears
        self.said: tuple[Track, ...] = ()
        self.told: tuple[Track, ...] = ()
        self.queue: deque[Playback] = deque()
        self.waiting: Playback | None = None
        self.slot = -1
        self.held = False
        # Outbound.
        self._remote: tuple[str, int] | None = None
        self._send: Callable[[bytes], int] = self._send_to
        self._ssrc = int.from_bytes(chance(4))
        self._sequence = int.from_bytes(chance(2))
        self._time_stamp = int.from_bytes(chance(4))
        self._sent_s = now_s
        self._ahead = 0.0
        self._relayed = _NOBODY
        self._sequence_shift = self._time_shift = 0
        self.sent = self.octets = 0
        self._keys: deque[str] = deque()
        self._key_packet = 0
        self._key_time = 0
        # Inbound.
        self._candidate: tuple[tuple[str, int], int] | None = None
        self.heard_s = now_s
        self.silent_told = False
        self.reception: Reception | None = None
        self.foreign = 0
        self._event: int | None = None
        self._muted_event: int | None = None
        #: listens for keys as tones, while nobody else hears the phone
        self.tones: Tones | None = None
        self.take: Callable[[float], None] = self.take_first

    # Where it goes and comes from.

    def set_remote(
        self, address: tuple[str, int], law: int, key_type: int, sends: bool, hears: bool, tones: bool, now_s: float
    ) -> None:
        """What the phone's session description says; a new address is latched to anew."""
        self.law = law if law in (ULAW, ALAW) else ULAW
        self.key_type = key_type
        # Who has sent an event sends keys so; tones beside it would be the same keys once more.
        self.tones = (self.tones or Tones()) if tones and self._event is None else None
        if sends and not self.sends:
            self.heard_s = now_s
        self.sends, self.hears = sends, hears
        host, port = address
        if port == 0 or host == "0.0.0.0":  # noqa: S104 - the old way to say "on hold"
            self.hears = False
            return
        if self._remote != address:
            moved = self._remote is not None
            self._remote = address
            if moved and self.take == self.take_locked:
                self._unlock()

    def _unlock(self) -> None:
        self.rtp.close()
        self.rtp = ports.bound(self._host, self.port)
        self._candidate = None
        self._send = self._send_to
        self.take = self.take_first
        self._ears.relisten(self)

    def _lock(self, source: tuple[str, int]) -> None:
        try:
            self.rtp.connect(source)
        except OSError:
            return
        self._send = self.rtp.send
        self.take = self.take_locked
        self._ears.relisten(self)

    def _send_to(self, packet: bytes) -> int:
        where = self._candidate[0] if self._candidate is not None else self._remote
        return 0 if where is None else self.rtp.sendto(packet, where)

    # What comes in.

    def take_first(self, now_s: float) -> None:
        """Take a packet while it is not known yet where the phone's come from."""
        try:
            packet, source = self.rtp.recvfrom(_PACKET_BYTES_MAX)
        except OSError:
            return
        if self._remote is None:
            return  # nothing is agreed on yet
        read = plain(packet)
        if read is None or read[1] & 0x7F not in (ULAW, ALAW, self.key_type):
            self.foreign += 1
            return
        if source == self._remote:
            self._lock(source)
        elif self._candidate is None:
            self._candidate = (source, 1)
        elif self._candidate[0] != source:
            self.foreign += 1
            return
        else:
            self._candidate = (source, self._candidate[1] + 1)
            if self._candidate[1] >= _LATCH_PACKETS:
                self._lock(source)
        self._heard(read, now_s)

    def take_locked(self, now_s: float) -> None:
        """Take a packet; the kernel lets through only those of the one source."""
        try:
            packet = self.rtp.recv(_PACKET_BYTES_MAX)
        except OSError:  # nothing there after all, or an answer that nobody listens
            return
        if len(packet) > HEADER_BYTES and packet[0] == PLAIN:
            self._heard(packet, now_s)
        else:
            read = plain(packet)
            if read is not None:
                self._heard(read, now_s)

    def _heard(self, packet: bytes, now_s: float) -> None:
        _, second, sequence, time_stamp, source = _unpack(packet)
        self.heard_s = now_s
        law = second & 0x7F
        reception = self.reception
        if reception is None or reception.source != source:
            reception = self.reception = Reception(source, sequence)
            reception.transit = now_s * SAMPLES_A_SECOND - time_stamp
        reception.received += 1
        ahead = (sequence - reception.highest) & 0xFFFF
        if ahead < 0x8000:
            reception.highest += ahead
        if law == self.key_type:
            self._key(packet, second, sequence, time_stamp, source, now_s)
            return
        if law != self.law and law not in (ULAW, ALAW):
            return
        transit = now_s * SAMPLES_A_SECOND - time_stamp
        difference = transit - reception.transit
        reception.transit = transit
        reception.jitter += (abs(difference) - reception.jitter) / 16
        audio = packet[HEADER_BYTES:]
        for track in self.said:
            track.place(source, time_stamp, audio, law, now_s)
        hearer = self.hearer
        if hearer is not None:
            hearer.relay(source, sequence, time_stamp, audio, second & MARKER, law, now_s)
            return
        if self.tones is not None:
            self.tones.hear(audio, law, time_stamp, self._heard_tone)
        if not self.answered:
            self._ears.early_audio(self, now_s)

    def _heard_tone(self, key: str) -> None:
        self._ears.heard(self, key, "inband")

    def _key(self, packet: bytes, second: int, sequence: int, time_stamp: int, source: int, now_s: float) -> None:
        if len(packet) < HEADER_BYTES + 4:
            return
        event = packet[HEADER_BYTES]
        if self._event is None or not 0 <= (self._event - time_stamp) & _WRAP < _OLD:
            self._event = time_stamp
            self.tones = None
            if event < len(keys.NAMES):
                self._ears.heard(self, keys.NAMES[event], "rfc4733")
        hearer = self.hearer
        if hearer is not None and self._event == time_stamp != self._muted_event and hearer.key_type >= 0:
            hearer.relay(source, sequence, time_stamp, packet[HEADER_BYTES:], second & MARKER, _KEY, now_s)

    def mute_event(self) -> None:
        """What is left of a key that went down before the bridge is not handed on."""
        self._muted_event = self._event

    # What goes out.

    def relay(
        self, source: int, sequence: int, time_stamp: int, audio: bytes, marker: int, law: int, now_s: float
    ) -> None:
        """Send the other leg's packet on, in this leg's own count."""
        if self.queue or self._keys or not (self.live and self.hears):
            self._relayed = _NOBODY
            return
        if source != self._relayed:
            self._relayed = source
            step = max(FRAME, int((now_s - self._sent_s) * SAMPLES_A_SECOND))
            self._sequence_shift = self._sequence + 1 - sequence
            self._time_shift = self._time_stamp + step - time_stamp
            marker = MARKER
        sequence = (sequence + self._sequence_shift) & 0xFFFF
        time_stamp = (time_stamp + self._time_shift) & _WRAP
        if law == _KEY:
            kind = self.key_type
        else:
            kind = self.law
            if law != kind:
                audio = audio.translate(TURNED[law, kind])
            for track in self.told:
                track.place(self._ssrc, time_stamp, audio, kind, now_s)
        try:
            self._send(_pack(PLAIN, marker | kind, sequence, time_stamp, self._ssrc) + audio)
        except OSError:
            return
        self.sent += 1
        self.octets += len(audio)
        if (sequence - self._sequence) & 0xFFFF < 0x8000:
            self._sequence = sequence
            if law != _KEY:
                self._time_stamp = time_stamp
        self._sent_s = now_s

    def tick(self, now_s: float) -> None:
        """Send the next 20 ms of what is played: keys first, then the queue, then what is heard while waiting."""
        self._relayed = _NOBODY
        if self._keys:
            self._send_key(now_s)
            return
        silence = SILENCE[self.law]
        while self.queue:
            playback = self.queue[0]
            frame = playback.next(silence)
            if frame is not None:
                self._send_audio(frame, now_s)
                return
            self.queue.popleft()
            self._ears.played(self, playback, "done")
        if self.talker is not None:  # what was played last has ended, and somebody talks again
            return
        if self.waiting is not None:
            frame = self.waiting.next(silence)
            if frame is not None:
                self._send_audio(frame, now_s)
                return
        if self._ahead >= _AHEAD:
            self._ahead -= (now_s - self._sent_s) * SAMPLES_A_SECOND
            self._sent_s = now_s
            return
        self._send_audio(silence * FRAME, now_s)

    def _send_audio(self, audio: bytes, now_s: float) -> None:
        step, marker = self._step(now_s)
        self._time_stamp = (self._time_stamp + step) & _WRAP
        for track in self.told:
            track.place(self._ssrc, self._time_stamp, audio, self.law, now_s)
        self._send_packet(self.law, marker, self._time_stamp, audio, now_s)

    def _step(self, now_s: float) -> tuple[int, int]:
        passed = (now_s - self._sent_s) * SAMPLES_A_SECOND
        if self.sent and passed < _PAUSE_S * SAMPLES_A_SECOND:
            self._ahead += FRAME - passed
            return FRAME, 0
        self._ahead = 0.0
        return max(FRAME, int(passed)), MARKER

    def _send_packet(self, kind: int, marker: int, time_stamp: int, payload: bytes, now_s: float) -> None:
        self._sent_s = now_s
        if not self.hears:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            self._send(_pack(PLAIN, marker | kind, self._sequence, time_stamp, self._ssrc) + payload)
        except OSError:
            return
        self.sent += 1
        self.octets += len(payload)

    def _send_key(self, now_s: float) -> None:
        packet = self._key_packet
        step, _ = self._step(now_s)
        self._time_stamp = (self._time_stamp + step) & _WRAP
        if packet == 0:
            self._key_time = self._time_stamp
        if packet < keys.PACKETS:
            payload = keys.pressed(self._keys[0], packet)
            self._send_packet(self.key_type, 0 if packet else MARKER, self._key_time, payload, now_s)
        self._key_packet += 1
        if self._key_packet >= keys.PACKETS + keys.PAUSE_PACKETS:
            self._key_packet = 0
            self._keys.popleft()

    # What it is told to do.

    def play(self, playback: Playback, now_s: float) -> None:
        """Play after what is playing; the first packet leaves at once."""
        self.queue.append(playback)
        if len(self.queue) == 1 and self.live:
            self._ears.retime(self, now_s)
            self.tick(now_s)

    def stop(self, name: str) -> bool:
        """End a playback wherever it stands; whether it was here."""
        for playback in self.queue:
            if playback.name == name:
                self.queue.remove(playback)
                self._ears.played(self, playback, "stopped")
                return True
        return False

    def stop_all(self, end: str) -> None:
        """End all playbacks."""
        ended = list(self.queue)
        self.queue.clear()
        for playback in ended:
            self._ears.played(self, playback, end)

    def press(self, pressed: str, now_s: float) -> None:
        """Send keys: as events, or as tones to a phone that knows none."""
        if self.key_type < 0:
            for key in pressed:
                self.play(Playback("", turn(keys.tone(key), ULAW, self.law)), now_s)
            return
        self._keys.extend(pressed[: _KEYS_MAX - len(self._keys)])
        self._ears.retime(self, now_s)

    @property
    def busy(self) -> bool:
        """Whether it must be ticked although somebody talks to it."""
        return bool(self.queue or self._keys)

    def send_report(self, now_s: float, wall_s: float, *, goodbye: bool = False) -> None:
        """Send RTCP to the port above the phone's."""
        if self._remote is None or not self.live:
            return
        behind = int((now_s - self._sent_s) * SAMPLES_A_SECOND)
        stamp = (self._time_stamp + behind) & _WRAP
        packet = report(self._ssrc, wall_s, stamp, self.sent, self.octets, self.reception, goodbye)
        host, port = self._candidate[0] if self._candidate is not None else self._remote
        try:
            self.rtcp.sendto(packet, (host, port + 1))
        except OSError:
            return

    def take_report(self, now_s: float) -> None:
        """Take RTCP; a phone that reports is there, though it may be silent."""
        try:
            packet, source = self.rtcp.recvfrom(_PACKET_BYTES_MAX)
        except OSError:
            return
        if len(packet) >= 8 and packet[0] >> 6 == 2 and self._remote is not None and source[0] == self._remote[0]:
            self.heard_s = now_s

    def close(self) -> None:
        """Close the sockets."""
        self.rtp.close()
        self.rtcp.close()


#: Not a law: the payload is a key's event.
_KEY = -1
