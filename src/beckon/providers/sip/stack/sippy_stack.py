"""sippy, with its faults mended: this module, ``dialogs`` and ``loop`` know it, and no other does.

sippy reads and writes messages and keeps transactions and dialogs. What it does otherwise than we need, and where that
is mended here, by subclass and by hook, without a line of it copied:

1.  Its sockets hand messages to three threads, which can send 100 after 200, and look up names for each: ``Socket``.
2.  Its Contact is named Anonymous, which some phones take for the address: ``contact_of_ours``.
3.  Its loop sleeps in a C module and is woken by signals: ``SipLoop`` drives its timers from epoll instead.
4.  A Contact or Record-Route with ``;transport=UDP`` in capitals raises, and BYE is never sent: ``normalise``.
5.  In a dialog UPDATE, PRACK, MESSAGE … go unanswered, and before its answer INFO too: ``Agent.recvRequest``.
6.  REFER hangs up and would call whomever it is told to: declined there.
7.  BYE before we rang goes unanswered: ``Trying``.
8.  A re-INVITE without a session description is taken for "hold": ``Connected`` offers ours, as RFC 3261 asks.
9.  A BYE that is challenged is forgotten: ``Agent.newTransaction``.
10. A refused re-INVITE forgets our session description, so that the next answer has none: ``Dialog``.
11. An exception in the middle leaves a transaction without an answer for ever: ``Transactions.incomingRequest``.
12. What can't be read is printed with all that it holds: this process's output goes nowhere.
13. Whatever a flood repeats is remembered for a minute: ``Transactions`` remembers so many.
"""

import socket
from typing import Any, Protocol

from sippy.CCEvents import CCEventTry
from sippy.SipAddress import SipAddress
from sippy.SipContact import SipContact
from sippy.SipHeader import SipHeader
from sippy.SipTransactionManager import SipTransactionManager
from sippy.SipURL import SipURL
from sippy.UA import UA
from sippy.UasStateRinging import UasStateRinging
from sippy.UasStateTrying import UasStateTrying
from sippy.UaStateConnected import UaStateConnected
from sippy.Udp_server import Udp_server_opts

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, REGISTER"
KNOWN = frozenset(ALLOW.split(", ")) | {"PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER"}
_MESSAGE_BYTES_MIN, _MESSAGE_BYTES_MAX = 32, 16_384
_REMEMBERED_MAX = 20_000
#: Requests that are being answered; beyond that new calls are not heard, and those that there are go on.
_OPEN_MAX = 5_000
#: How long a dialog that is over still answers for itself.
LINGER_S = 6.0
USER_AGENT = "Beckon"


class Loop(Protocol):
    """What carries messages."""

    @property
    def address(self) -> tuple[str, int]: ...
    def hands_to(self, server: "Socket") -> None: ...
    def send(self, message: bytes, address: tuple[str, int]) -> None: ...


class AgentsDialog(Protocol):
    """What an agent asks of its dialog."""

    def sdp_body(self) -> Any: ...
    def request(self, method: str, request: Any) -> Any: ...


class Quiet:
    """sippy's logger: what phones say is nobody's business."""

    def write(self, *words: Any, **more: Any) -> None:
        return None


class Socket:
    """What sippy takes for its UDP server: one socket, no thread, no names."""

    transport = "udp"

    def __init__(self, global_config: dict[str, Any], options: Any) -> None:
        self.uopts = options
        self._loop: Loop = global_config["beckon_loop"]
        self._loop.hands_to(self)

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:
        return self._loop.address, "udp"

    def addr2str(self, address: tuple[str, int]) -> str:
        return f"udp:{address[0]}:{address[1]}"

    def send_to(self, message: str | bytes, address: tuple[str, int], delayed: bool = False) -> None:
        self._loop.send(message.encode() if isinstance(message, str) else message, address)

    def shutdown(self) -> None:
        return None


class Options(Udp_server_opts):  # type: ignore[misc]
    def isWildCard(self) -> bool:
        return False


class Transactions(SipTransactionManager):  # type: ignore[misc]
    model_udp_server = (Socket, Options)
    nat_traversal = True
    dropped = 0

    def handleIncoming(self, data_in: bytes, ra: Any, server: Any, rtime: Any) -> None:
        if not _MESSAGE_BYTES_MIN <= len(data_in) <= _MESSAGE_BYTES_MAX or b"\0" in data_in:
            self.dropped += 1
            return
        if len(self.tserver) > _OPEN_MAX and data_in.startswith(b"INVITE "):
            self.dropped += 1
            return
        if len(self.l1rcache) > _REMEMBERED_MAX:
            self.rCachePurge()
        try:
            super().handleIncoming(data_in, ra, server, rtime)
        except Exception:
            # Whatever anybody can send must not end the switch; what it was is nobody's business.
            self.dropped += 1

    def incomingRequest(self, msg: Any, checksum: bytes, tids: Any, server: Any) -> None:
        try:
            normalise(msg)
            super().incomingRequest(msg, checksum, tids, server)
        except Exception:
            self.dropped += 1
            if msg.getMethod() == "ACK":
                return
            answer = msg.genResponse(400, "Bad Request")
            waiting = self.tserver.get(msg.getTId(wBRN=True))
            if waiting is None:
                self.transmitMsg(server, answer, answer.getHFBody("via").getTAddr(), checksum)
            elif waiting.state.__name__ in ("TRYING", "RINGING"):
                self.sendResponse(answer, waiting)

    def incomingResponse(self, msg: Any, t: Any, checksum: bytes) -> None:
        normalise(msg)
        super().incomingResponse(msg, t, checksum)


def normalise(message: Any) -> None:
    """Lower the transports; a name that would have to be looked up becomes where the message came from."""
    for name in ("contact", "record-route", "route"):
        for body in message.getHFBodys(name):
            if getattr(body, "asterisk", False):
                continue
            url = body.getUrl()
            if url.transport is not None:
                url.transport = "udp"
            if name == "contact" and not is_address(url.host):
                url.host, url.port = message.getSource()


def is_address(host: object) -> bool:
    try:
        socket.inet_aton(str(host))
    except OSError:
        return False
    return str(host).count(".") == 3


class Trying(UasStateTrying):  # type: ignore[misc]
    recv_request_handlers = UasStateRinging.recv_request_handlers


class Connected(UaStateConnected):  # type: ignore[misc]
    def offer_ours(self, req: Any) -> None:
        agent = self.ua
        agent.uasResp = req.genResponse(100, "Trying", server=agent.local_ua)
        agent.global_config["_sip_tm"].sendResponse(agent.uasResp)
        agent.sendUasResponse(200, "OK", agent.dialog.sdp_body(), (agent.lContact,), ack_wait=True)


class Agent(UA):  # type: ignore[misc]
    UaStateConnected = Connected
    UasStateTrying = Trying
    godead_timeout = LINGER_S
    local_ua = USER_AGENT
    dialog: AgentsDialog

    def recvRequest(self, req: Any, sip_t: Any) -> Any:
        method = req.getMethod()
        if method in ("INVITE", "BYE", "ACK", "CANCEL"):
            connected = isinstance(self.state, Connected)
            if method == "INVITE" and connected and req.getBody() is None and not self._is_old(req):
                self.rCSeq = req.getHFBody("cseq").getCSeqNum()
                self.state.offer_ours(req)
                return (None, None, self.disconnect)
            return super().recvRequest(req, sip_t)
        if self._is_old(req):
            return (req.genResponse(500, "Server Internal Error"), None, None)
        self.rCSeq = req.getHFBody("cseq").getCSeqNum()
        return (self.dialog.request(method, req), None, None)

    def _is_old(self, req: Any) -> bool:
        return bool(self.rCSeq is not None and self.rCSeq >= req.getHFBody("cseq").getCSeqNum())

    def isYours(self, req: Any = None, call_id: Any = None, from_tag: Any = None, to_tag: Any = None) -> Any:
        # Before the answer sippy takes requests of the INVITE's own branch only: UPDATE and INFO have another.
        if req is None or req.getMethod() == "INVITE":
            return super().isYours(req, call_id, from_tag, to_tag)
        ids = (str(req.getHFBody("call-id")), req.getHFBody("from").getTag(), req.getHFBody("to").getTag())
        return super().isYours(None, *ids)

    def newTransaction(self, req: Any, req_extra_headers: Any = None, **more: Any) -> Any:
        if req.getMethod() == "BYE" and "resp_cb" not in more and self.username is not None:
            more["resp_cb"] = self._bye_answered
        return super().newTransaction(req, req_extra_headers, **more)

    def _bye_answered(self, resp: Any) -> None:
        names = {401: "www-authenticate", 407: "proxy-authenticate"}
        name = names.get(resp.getSCode()[0])
        if name is None or not resp.countHFs(name) or self.isDead():
            return
        challenge = resp.getHFBody(name)
        supported, qop = challenge.supportedAlgorithm()
        if supported:
            self.newTransaction(self.genRequest("BYE", cqop=(challenge, qop)), resp_cb=lambda _: None)


class Try(CCEventTry):  # type: ignore[misc]
    """An outbound call's beginning, with the address that the phone registered."""

    contact: str | None = None

    def onUacSetupComplete(self, uac: Any) -> None:
        if self.contact is not None:
            target = SipURL(self.contact)
            if not is_address(target.host):
                target.host, target.port = uac.rAddr0[0]
            target.transport = None
            uac.rTarget = target


def with_headers(response: Any, *headers: str) -> Any:
    for header in headers:
        response.appendHeader(SipHeader(header))
    return response


def contact_of_ours() -> Any:
    # sippy's own is named Anonymous, and some phones call that name.
    return SipContact(address=SipAddress(url=SipURL(), hadbrace=True))
