"""sippy, with its faults mended: the only module that knows it.

sippy reads and writes messages and keeps transactions and dialogs. What it does otherwise than we need, and where that
is mended here, by subclass and by hook, without a line of it copied:

1.  Its sockets hand messages to three threads, which can send 100 after 200, and look up names for each: ``_Socket``.
2.  Its Contact is named Anonymous, which some phones take for the address: ``_contact``.
3.  Its loop sleeps in a C module and is woken by signals: ``SipLoop`` drives its timers from epoll instead.
4.  A Contact or Record-Route with ``;transport=UDP`` in capitals raises, and BYE is never sent: ``_normalise``.
5.  In a dialog UPDATE, PRACK, MESSAGE … go unanswered, and before its answer INFO too: ``_Agent.recvRequest``.
6.  REFER hangs up and would call whomever it is told to: declined there.
7.  BYE before we rang goes unanswered: ``_Trying``.
8.  A re-INVITE without a session description is taken for "hold": ``_Connected`` offers ours, as RFC 3261 asks.
9.  A BYE that is challenged is forgotten: ``_Agent.newTransaction``.
10. A refused re-INVITE forgets our session description, so that the next answer has none: ``Dialog``.
11. An exception in the middle leaves a transaction without an answer for ever: ``_Transactions.incomingRequest``.
12. What can't be read is printed with all that it holds: this process's output goes nowhere.
13. Whatever a flood repeats is remembered for a minute: ``_Transactions`` remembers so many.
"""

import select
import socket
from collections.abc import Callable
from heapq import heapify
from typing import Any, Protocol

import msgspec
from sippy.CCEvents import (
    CCEventConnect,
    CCEventDisconnect,
    CCEventFail,
    CCEventPreConnect,
    CCEventRedirect,
    CCEventRing,
    CCEventTry,
    CCEventUpdate,
)
from sippy.Core.EventDispatcher import ED2
from sippy.MsgBody import MsgBody
from sippy.Network_server import Remote_address
from sippy.SipAddress import SipAddress
from sippy.SipCallId import SipCallId
from sippy.SipConf import SipConf
from sippy.SipContact import SipContact
from sippy.SipFrom import SipFrom
from sippy.SipHeader import SipHeader
from sippy.SipRequest import SipRequest
from sippy.SipRoute import SipRoute
from sippy.SipTo import SipTo
from sippy.SipTransactionManager import SipTransactionManager
from sippy.SipURL import SipURL
from sippy.Time.MonoTime import MonoTime
from sippy.Time.Timeout import Timeout
from sippy.UA import UA
from sippy.UasStateRinging import UasStateRinging
from sippy.UasStateTrying import UasStateTrying
from sippy.UaStateConnected import UaStateConnected
from sippy.Udp_server import Udp_server_opts

from beckon.providers.sip.wire import DialogFacts

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, REGISTER"
_KNOWN = frozenset(ALLOW.split(", ")) | {"PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER"}
_MESSAGE_BYTES_MIN, _MESSAGE_BYTES_MAX = 32, 16_384
_REMEMBERED_MAX = 20_000
_SENDS_PER_POLL = 64
_IDLE_S = 1.0
#: How long a dialog that is over still answers for itself.
_LINGER_S = 6.0
_USER_AGENT = "Beckon"


class Headers(msgspec.Struct, frozen=True):
    """What of a request the switch decides by."""

    method: str
    host: str
    port: int
    caller: str
    caller_name: str
    asserted: str
    called: str
    to_user: str
    contact: str
    contact_is_star: bool
    expires: int
    authorization: str
    call_id: str
    sdp: str


class Refusal(msgspec.Struct, frozen=True):
    """A final answer without a dialog."""

    status: int
    reason: str
    headers: tuple[str, ...] = ()


class Caller(Protocol):
    """Who decides about requests outside of dialogs."""

    def invited(self, headers: Headers) -> "Refusal | DialogEars": ...
    def registers(self, headers: Headers) -> Refusal: ...


class DialogEars(Protocol):
    """Who hears what becomes of a dialog."""

    def begun(self, dialog: "Dialog") -> None: ...
    def progress(self, status: int, sdp: str) -> None: ...
    def answered(self, sdp: str, facts: DialogFacts) -> None: ...
    def acked(self, sdp: str, facts: DialogFacts) -> None: ...
    def reoffered(self, sdp: str) -> None: ...
    def agreed(self, sdp: str) -> None: ...
    def key(self, key: str) -> None: ...
    def ended(self, status: int, reason: str) -> None: ...


class _Quiet:
    """sippy's logger: what phones say is nobody's business."""

    def write(self, *words: Any, **more: Any) -> None:
        return None


class _Socket:
    """What sippy takes for its UDP server: one socket, no thread, no names."""

    transport = "udp"

    def __init__(self, global_config: dict[str, Any], options: Any) -> None:
        self.uopts = options
        self._loop: SipLoop = global_config["beckon_loop"]
        self._loop.hands_to(self)

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:
        return self._loop.address, "udp"

    def addr2str(self, address: tuple[str, int]) -> str:
        return f"udp:{address[0]}:{address[1]}"

    def send_to(self, message: str | bytes, address: tuple[str, int], delayed: bool = False) -> None:
        self._loop.send(message.encode() if isinstance(message, str) else message, address)

    def shutdown(self) -> None:
        return None


class _Options(Udp_server_opts):  # type: ignore[misc]
    def isWildCard(self) -> bool:
        return False


class _Transactions(SipTransactionManager):  # type: ignore[misc]
    model_udp_server = (_Socket, _Options)
    nat_traversal = True
    dropped = 0

    def handleIncoming(self, data_in: bytes, ra: Any, server: Any, rtime: Any) -> None:
        if not _MESSAGE_BYTES_MIN <= len(data_in) <= _MESSAGE_BYTES_MAX or b"\0" in data_in:
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
            _normalise(msg)
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
        _normalise(msg)
        super().incomingResponse(msg, t, checksum)


def _normalise(message: Any) -> None:
    """Lower the transports; a name that would have to be looked up becomes where the message came from."""
    for name in ("contact", "record-route", "route"):
        for body in message.getHFBodys(name):
            if getattr(body, "asterisk", False):
                continue
            url = body.getUrl()
            if url.transport is not None:
                url.transport = "udp"
            if name == "contact" and not _is_address(url.host):
                url.host, url.port = message.getSource()


def _is_address(host: object) -> bool:
    try:
        socket.inet_aton(str(host))
    except OSError:
        return False
    return str(host).count(".") == 3


class _Trying(UasStateTrying):  # type: ignore[misc]
    recv_request_handlers = UasStateRinging.recv_request_handlers


class _Connected(UaStateConnected):  # type: ignore[misc]
    def offer_ours(self, req: Any) -> None:
        agent = self.ua
        agent.uasResp = req.genResponse(100, "Trying", server=agent.local_ua)
        agent.global_config["_sip_tm"].sendResponse(agent.uasResp)
        agent.sendUasResponse(200, "OK", agent.dialog.sdp_body(), (agent.lContact,), ack_wait=True)


class _Agent(UA):  # type: ignore[misc]
    UaStateConnected = _Connected
    UasStateTrying = _Trying
    godead_timeout = _LINGER_S
    local_ua = _USER_AGENT
    dialog: "Dialog"

    def recvRequest(self, req: Any, sip_t: Any) -> Any:
        method = req.getMethod()
        if method in ("INVITE", "BYE", "ACK", "CANCEL"):
            connected = isinstance(self.state, _Connected)
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


class _Try(CCEventTry):  # type: ignore[misc]
    """An outbound call's beginning, with the address that the phone registered."""

    contact: str | None = None

    def onUacSetupComplete(self, uac: Any) -> None:
        if self.contact is not None:
            target = SipURL(self.contact)
            if not _is_address(target.host):
                target.host, target.port = uac.rAddr0[0]
            target.transport = None
            uac.rTarget = target


class Dialog:
    """One dialog, in or out."""

    def __init__(self, agent: _Agent, ears: DialogEars) -> None:
        self._agent = agent
        self._ears = ears
        agent.dialog = self
        agent.event_cb = self._happened
        self._sdp = ""
        self._inbound = False
        self._unacked = False
        self._bye_when_acked = False
        self._update: Any = None
        self._answered = False
        self.ended = False

    def sdp_body(self) -> Any:
        """What we last said about our media."""
        return MsgBody(self._sdp) if self._sdp else None

    @property
    def facts(self) -> DialogFacts:
        """What names it."""
        agent = self._agent
        (host, port), _ = agent.rAddr
        return DialogFacts(
            str(agent.cId),
            str(agent.lUri),
            str(agent.rUri),
            str(agent.rTarget),
            str(host),
            int(port),
            tuple(str(route) for route in agent.routes),
            agent.lCSeq,
        )

    # Commands.

    def reply(self, status: int, reason: str, sdp: str) -> None:
        """Answer an INVITE."""
        if sdp:
            self._sdp = sdp
        body = self.sdp_body() if sdp else None
        if status < 200:
            self._agent.recvEvent(CCEventRing((status, reason, body)))
        elif status < 300:
            self._unacked = True
            self._agent.recvEvent(CCEventPreConnect((status, reason, body)))
        else:
            self.ended = True
            self._agent.recvEvent(CCEventFail((status, reason)))

    def reoffer(self, sdp: str) -> None:
        """Offer new media to an answered phone; ``agreed`` tells what it said."""
        if not isinstance(self._agent.state, _Connected) or self._unacked:
            self._ears.agreed("")
            return
        self._agent.lSDP = self.sdp_body()
        self._sdp = sdp
        self._agent.recvEvent(CCEventUpdate(MsgBody(sdp)))

    def accept(self, status: int, reason: str, sdp: str) -> None:
        """Answer the phone's new offer."""
        if sdp:
            self._sdp = sdp
        update, self._update = self._update, None
        if update is not None:
            answer = update.genResponse(status, reason, body=MsgBody(sdp) if sdp else None)
            answer.appendHeader(SipHeader(name="contact", body=self._agent.lContact.getCopy()))
            self._agent.global_config["_sip_tm"].sendResponse(answer)
        elif status < 300:
            self._agent.recvEvent(CCEventConnect((status, reason, MsgBody(sdp))))
        else:
            self._agent.recvEvent(CCEventFail((status, reason)))
            self._agent.rSDP = None

    def end(self, status: int, reason: str) -> None:
        """End it at whatever stage it is."""
        if self.ended:
            return
        self.ended = True
        if self._unacked:  # RFC 3261, 15: no BYE before the ACK
            self._bye_when_acked = True
        elif self._inbound and not self._agent.isConnected():
            self._agent.recvEvent(CCEventFail((status, reason)))
        else:
            self._agent.recvEvent(CCEventDisconnect())

    # What sippy says.

    def begin_inbound(self, request: Any, transaction: Any, contact: Any) -> Any:
        """Take an INVITE in; what sippy is to do with its transaction."""
        self._inbound = True
        self._agent.lContact = contact
        return self._agent.recvRequest(request, transaction)

    def _happened(self, event: Any, agent: Any) -> None:
        kind = type(event)
        if kind is CCEventTry:
            self._ears.begun(self)
        elif self.ended:
            if kind is CCEventConnect and self._unacked:
                self._unacked = False
            if kind is CCEventConnect and self._bye_when_acked:
                self._bye_when_acked = False
                self._agent.recvEvent(CCEventDisconnect())
        elif kind is CCEventRing:
            status, _, body = event.getData()
            if status > 100:
                self._ears.progress(status, _text(body))
        elif kind is CCEventConnect:
            self._connected(event)
        elif kind is CCEventUpdate:
            self._ears.reoffered(_text(event.getData()))
        elif kind is CCEventFail or kind is CCEventRedirect:
            self._failed(event)
        elif kind is CCEventDisconnect:
            self.ended = True
            connected = self._agent.connect_ts is not None or self._agent.isConnected()
            self._ears.ended(0 if connected else 487, _reason(event))

    def _connected(self, event: Any) -> None:
        word, _, body = event.getData()
        if word == "ACK" and self._unacked:
            self._unacked = False
            self._ears.acked(_text(body), self.facts)
        elif word == "ACK" or self._agent.origin == "caller" or self._answered:
            self._ears.agreed(_text(body))
        else:
            self._answered = True
            self._ears.answered(_text(body), self.facts)

    def _failed(self, event: Any) -> None:
        if self._agent.isConnected():  # our re-INVITE was refused; the call goes on as it was
            self._agent.lSDP = self.sdp_body()
            self._ears.agreed("")
            return
        self.ended = True
        given = event.getData() or (500, "Failed")
        self._ears.ended(int(given[0]), _reason(event) or str(given[1]))

    def request(self, method: str, request: Any) -> Any:
        """Answer a request that sippy has no answer for; None: the answer comes by ``accept``."""
        if self.ended:
            return request.genResponse(481, "Call Leg/Transaction Does Not Exist")
        if method == "INFO":
            key = _key(request.getBody())
            if key:
                self._ears.key(key)
            return request.genResponse(200, "OK")
        if method == "OPTIONS":
            return _with(request.genResponse(200, "OK"), f"Allow: {ALLOW}")
        if method == "UPDATE":
            return self._updated(request)
        if method == "REFER":
            return request.genResponse(603, "Decline")
        if method == "NOTIFY":
            return request.genResponse(481, "Subscription Does Not Exist")
        status, reason = (405, "Method Not Allowed") if method in _KNOWN else (501, "Not Implemented")
        return _with(request.genResponse(status, reason), f"Allow: {ALLOW}")

    def _updated(self, request: Any) -> Any:
        answer = None
        if request.getBody() is None:
            answer = request.genResponse(200, "OK")
        elif self._update is not None or not (self._sdp and self._agent.isConnected()) or self._unacked:
            answer = _with(request.genResponse(500, "Server Internal Error"), "Retry-After: 2")
        elif not isinstance(self._agent.state, _Connected):
            answer = request.genResponse(491, "Request Pending")
        if answer is None:
            self._update = request
            self._ears.reoffered(_text(request.getBody()))
        else:
            answer.appendHeader(SipHeader(name="contact", body=self._agent.lContact.getCopy()))
        return answer


def _text(body: Any) -> str:
    return "" if body is None or body.getType() != "application/sdp" else str(body)


def _reason(event: Any) -> str:
    return "" if event.reason_rfc3326 is None else str(event.reason_rfc3326)[:200]


def _key(body: Any) -> str:
    """The key in an INFO's body, in either of the two ways that phones write it."""
    if body is None:
        return ""
    text = str(body)[:400]
    if body.getType() == "application/dtmf-relay":
        for line in text.splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower() == "signal":
                return _as_key(value)
    return _as_key(text) if body.getType() == "application/dtmf" else ""


def _as_key(text: str) -> str:
    word = text.strip().upper()
    word = {"10": "*", "11": "#"}.get(word, word)
    return word if len(word) == 1 and word in "0123456789*#ABCD" else ""


def _with(response: Any, *headers: str) -> Any:
    for header in headers:
        response.appendHeader(SipHeader(header))
    return response


def _contact() -> Any:
    # sippy's own is named Anonymous, and some phones call that name.
    return SipContact(address=SipAddress(url=SipURL(), hadbrace=True))


class SipLoop:
    """One UDP socket, sippy's timers, and whatever else is listened to, in one thread."""

    def __init__(self, host: str, port: int, public_address: str, caller: Caller) -> None:
        self._caller = caller
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_048_576)
        self._socket.bind((host, port))
        self.address: tuple[str, int] = (public_address or host, self._socket.getsockname()[1])
        self._poll = select.epoll()
        self._takers: dict[int, Callable[[], None]] = {}
        self._server: Any = None
        SipConf.my_uaname = _USER_AGENT
        self._config: dict[str, Any] = {
            "_sip_address": self.address[0],
            "_sip_port": self.address[1],
            "_sip_logger": _Quiet(),
            "beckon_loop": self,
        }
        self._transactions = _Transactions(self._config, self._request)
        self._config["_sip_tm"] = self._transactions
        self.listen(self._socket.fileno(), self._receive)
        self._ended = False

    def hands_to(self, server: _Socket) -> None:
        """The socket that sippy was given last is the one that messages are handed to."""
        self._server = server

    # The loop.

    def listen(self, descriptor: int, taker: Callable[[], None]) -> None:
        """Call ``taker`` when there is something to read."""
        self._poll.register(descriptor, select.EPOLLIN)
        self._takers[descriptor] = taker

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Call once, later."""
        Timeout(what, seconds)

    def end(self) -> None:
        """Let the loop end."""
        self._ended = True

    def run(self, every_turn: Callable[[], None]) -> None:
        """Until ``end``."""
        while not self._ended:
            every_turn()
            ED2.last_ts = MonoTime()
            ED2.dispatchTimers()
            if ED2.twasted * 2 > len(ED2.tlisteners):
                ED2.tlisteners = [each for each in ED2.tlisteners if each.cb_func is not None]
                heapify(ED2.tlisteners)
                ED2.twasted = 0
            wait_s = -ED2.tlisteners[0].etime.offsetFromNow() if ED2.tlisteners else _IDLE_S
            for descriptor, _ in self._poll.poll(min(max(wait_s, 0.0), _IDLE_S)):
                taker = self._takers.get(descriptor)
                if taker is not None:
                    taker()

    def _receive(self) -> None:
        for _ in range(_SENDS_PER_POLL):
            try:
                message, address = self._socket.recvfrom(65_535)
            except OSError:
                return
            self._transactions.handleIncoming(message, Remote_address(address, "udp"), self._server, MonoTime())

    def send(self, message: bytes, address: tuple[str, int]) -> None:
        """Send a datagram, to an address that is one: no name is looked up here."""
        host, port = address
        if _is_address(host) and 0 < int(port) < 65_536:
            try:
                self._socket.sendto(message, (str(host), int(port)))
            except OSError:
                return

    @property
    def waiting(self) -> int:
        """Requests of ours that nobody answered yet."""
        return len(self._transactions.tclient or ())

    @property
    def dropped(self) -> int:
        """Messages that could not be read."""
        return self._transactions.dropped

    # Requests outside of dialogs.

    def _request(self, request: Any, transaction: Any) -> Any:
        method = request.getMethod()
        if method == "ACK":
            return None
        if request.getHFBody("to").getTag() is not None:
            return (request.genResponse(481, "Call Leg/Transaction Does Not Exist"), None, None)
        refusal = self._unacceptable(request)
        if refusal is None and method == "INVITE":
            decided = self._caller.invited(_headers(request))
            if not isinstance(decided, Refusal):
                dialog = Dialog(_Agent(self._config), decided)
                return dialog.begin_inbound(request, transaction, _contact())
            refusal = decided
        elif refusal is None and method == "REGISTER":
            refusal = self._caller.registers(_headers(request))
        elif refusal is None and method == "OPTIONS":
            refusal = Refusal(200, "OK", (f"Allow: {ALLOW}", "Accept: application/sdp"))
        elif refusal is None:
            status, reason = (405, "Method Not Allowed") if method in _KNOWN else (501, "Not Implemented")
            refusal = Refusal(status, reason, (f"Allow: {ALLOW}",))
        assert refusal is not None
        return (_with(request.genResponse(refusal.status, refusal.reason), *refusal.headers), None, None)

    def _unacceptable(self, request: Any) -> Refusal | None:
        required = [str(body) for body in request.getHFBodys("require") + request.getHFBodys("proxy-require")]
        if required:
            return Refusal(420, "Bad Extension", tuple(f"Unsupported: {each[:200]}" for each in required[:4]))
        if request.countHFs("max-forwards") and request.getHFBody("max-forwards").getNum() <= 0:
            return Refusal(483, "Too Many Hops")
        if request.getMethod() != "INVITE":
            return None
        if request.countHFs("contact") != 1 or request.getHFBody("contact").asterisk:
            return Refusal(400, "Bad Request")
        body = request.getBody()
        if body is not None and body.getType() != "application/sdp":
            return Refusal(415, "Unsupported Media Type", ("Accept: application/sdp",))
        return None

    # Calls that we make.

    def invite(
        self,
        ears: DialogEars,
        to: str,
        address: tuple[str, int],
        *,
        caller_id: str,
        caller_name: str,
        sdp: str,
        contact: str | None = None,
        account: tuple[str, str] | None = None,
    ) -> Dialog:
        """Call somebody; ``contact``: as the phone registered; ``account``: what we prove when asked."""
        username, password = account or (None, None)
        agent = _Agent(self._config, None, username, password, address)
        dialog = Dialog(agent, ears)
        dialog._sdp = sdp
        agent.lContact = _contact()
        begin = _Try((SipCallId(), caller_id, to, MsgBody(sdp), None, caller_name or None))
        begin.contact = contact
        agent.recvEvent(begin)
        return dialog

    def forget(self, facts: DialogFacts) -> None:
        """Say BYE in another process's dialog."""
        request = SipRequest(
            method="BYE",
            ruri=SipURL(facts.target),
            to=SipTo(facts.remote),
            fr0m=SipFrom(facts.local),
            cseq=facts.cseq + 1_000,
            callid=SipCallId(facts.call_id),
            routes=tuple(SipRoute(route) for route in facts.routes),
            target=((facts.host, facts.port), "udp"),
            user_agent=_USER_AGENT,
        )
        self._transactions.newTransaction(request)

    def register_at(
        self, trunk: tuple[str, int], domain: str, account: tuple[str, str], heard: Callable[[bool, str], None]
    ) -> None:
        """Register at a trunk, now and again before it runs out."""
        from sippy.SipRegistrationAgent import SipRegistrationAgent

        username, password = account
        agent = SipRegistrationAgent(
            self._config,
            SipURL(username=username, host=domain),
            SipURL(username=username),
            username,
            password,
            rok_cb=lambda until, contact, more: heard(True, ""),
            rfail_cb=lambda line, more: heard(False, str(line)[:200]),
            target=(trunk, "udp"),
        )
        agent.doregister()


def _headers(request: Any) -> Headers:
    source_host, source_port = request.getSource()
    sender, to = request.getHFBody("from"), request.getHFBody("to")
    asserted = request.getHFBodys("p-asserted-identity")
    contact = request.getHFBody("contact") if request.countHFs("contact") else None
    star = contact is not None and contact.asterisk
    expires = _number(request, "expires")
    if contact is not None and not star and contact.getUri().getParam("expires") is not None:
        given = str(contact.getUri().getParam("expires"))
        expires = int(given) if given.isdecimal() and len(given) < 10 else expires
    names = ("authorization", "proxy-authorization")
    raw = next((str(each.body) for name in names for each in request.getHFs(name)), "")
    return Headers(
        request.getMethod(),
        str(source_host),
        int(source_port),
        str(sender.getUrl().username or ""),
        str(sender.getUri().name or "").strip('"'),
        str(asserted[0].getUrl().username or "") if asserted else "",
        str(request.getRURI().username or ""),
        str(to.getUrl().username or ""),
        "" if contact is None or star else str(contact.getUrl()),
        star,
        expires,
        raw,
        str(request.getHFBody("call-id")),
        _text(request.getBody()),
    )


def _number(request: Any, name: str) -> int:
    if not request.countHFs(name):
        return -1
    return int(request.getHFBody(name).getNum())
