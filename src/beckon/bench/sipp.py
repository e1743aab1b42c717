"""SIPp as phones: couriers that call and type an order, customers that answer; each with audio of its own."""

from pathlib import Path

from beckon.bench.place import free_port

#: Calls begun in a second.
RAMP_PER_S = 10
_CALLER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="courier">
<send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+32480[call_number]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:courier@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+32480[call_number]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
<nop><action><exec rtp_stream="{audio},-1,8"/></action></nop>
<pause milliseconds="400"/>
{keys}
<pause milliseconds="{hold_ms}"/>
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+32480[call_number]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 9 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
"""
_KEY = """<send retrans="500"><![CDATA[
INFO [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+32480[call_number]@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} INFO
Max-Forwards: 70
Content-Type: application/dtmf-relay
Content-Length: [len]

Signal={key}
Duration=160
]]></send>
<recv response="200"/>
<pause milliseconds="100"/>
"""
_CUSTOMER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="customer">
<recv request="INVITE" rrs="true"/>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<pause milliseconds="200"/>
<send retrans="500"><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio {port} RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
<recv request="ACK"/>
{stream}
<recv request="BYE"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""


def callers(folder: Path, switch: int, count: int, hold_s: float, audio: bytes = b"") -> list[str]:
    """The command of so many couriers who call, type 12#, talk for ``hold_s`` and hang up. ``audio`` is A-law."""
    file = folder / "courier.alaw"
    file.write_bytes(audio or bytes((0x55 + 7 * at) % 256 for at in range(80_000)))
    keys = "".join(_KEY.replace("{cseq}", str(at + 2)).replace("{key}", key) for at, key in enumerate("12#"))
    scenario = folder / "courier.xml"
    text = _CALLER.replace("{audio}", str(file)).replace("{keys}", keys)
    scenario.write_text(text.replace("{hold_ms}", str(int(hold_s * 1000))))
    return [
        *("sipp", f"127.0.0.1:{switch}", "-sf", str(scenario), "-s", "4799", "-m", str(count), "-l", str(count)),
        *("-r", str(RAMP_PER_S), "-i", "127.0.0.1", "-p", str(free_port()), "-mi", "127.0.0.1", "-nostdin"),
        *("-mp", str(free_port()), "-timeout", "600s", "-timeout_error"),
    ]


def customers(folder: Path, port: int, count: int, audio: bytes = b"") -> list[str]:
    """The command of so many customers who answer and send ``audio`` (A-law), or what they hear."""
    scenario = folder / "customer.xml"
    file = folder / "customer.alaw"
    file.write_bytes(audio)
    stream = f'<nop><action><exec rtp_stream="{file},-1,8"/></action></nop>' if audio else ""
    media_port = "[rtpstream_audio_port]" if audio else "[media_port]"
    scenario.write_text(_CUSTOMER.replace("{stream}", stream).replace("{port}", media_port))
    return [
        *("sipp", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
        *([] if audio else ["-rtp_echo"]),
        *("-mp", str(free_port()), "-m", str(count), "-nostdin", "-timeout", "600s"),
    ]
