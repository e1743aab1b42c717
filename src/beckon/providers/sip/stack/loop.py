"""The SIP loop: one UDP socket, sippy's timers, requests outside of dialogs, and the calls that we make."""

import select
import socket
from collections.abc import Callable
from heapq import heapify
from typing import Any, Protocol

import msgspec
from sippy.Core.EventDispatcher import ED2
from sippy.MsgBody import MsgBody
from sippy.Network_server import Remote_address
from sippy.SipCallId import SipCallId
from sippy.SipConf import SipConf
from sippy.SipFrom import SipFrom
from sippy.SipRegistrationAgent import SipRegistrationAgent
from sippy.SipRequest import SipRequest
from sippy.SipRoute import SipRoute
from sippy.SipTo import SipTo
from sippy.SipURL import SipURL
from sippy.Time.MonoTime import MonoTime
from sippy.Time.Timeout import Timeout

from beckon.providers.sip.stack.dialogs import Dialog, DialogEars, text_of
from beckon.providers.sip.stack.sippy_stack import (
    ALLOW,
    KNOWN,
    USER_AGENT,
    Agent,
    Quiet,
    Socket,
    Transactions,
    Try,
    contact_of_ours,
    is_address,
    with_headers,
)
from beckon.providers.sip.wire import DialogFacts

_MESSAGES_PER_TURN = 64
_IDLE_S = 1.0


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
        SipConf.my_uaname = USER_AGENT
        self._config: dict[str, Any] = {
            "_sip_address": self.address[0],
            "_sip_port": self.address[1],
            "_sip_logger": Quiet(),
            "beckon_loop": self,
        }
        self._transactions = Transactions(self._config, self._request)
        self._config["_sip_tm"] = self._transactions
        self.listen(self._socket.fileno(), self._receive)
        self._ended = False

    def hands_to(self, server: Socket) -> None:
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
        for _ in range(_MESSAGES_PER_TURN):
            try:
                message, address = self._socket.recvfrom(65_535)
            except OSError:
                return
            self._transactions.handleIncoming(message, Remote_address(address, "udp"), self._server, MonoTime())

    def send(self, message: bytes, address: tuple[str, int]) -> None:
        """Send a datagram, to an address that is one: no name is looked up here."""
        host, port = address
        if is_address(host) and 0 < int(port) < 65_536:
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
            decided = self._caller.invited(headers_of(request))
            if not isinstance(decided, Refusal):
                dialog = Dialog(Agent(self._config), decided)
                return dialog.begin_inbound(request, transaction, contact_of_ours())
            refusal = decided
        elif refusal is None and method == "REGISTER":
            refusal = self._caller.registers(headers_of(request))
        elif refusal is None and method == "OPTIONS":
            refusal = Refusal(200, "OK", (f"Allow: {ALLOW}", "Accept: application/sdp"))
        elif refusal is None:
            status, reason = (405, "Method Not Allowed") if method in KNOWN else (501, "Not Implemented")
            refusal = Refusal(status, reason, (f"Allow: {ALLOW}",))
        assert refusal is not None
        return (with_headers(request.genResponse(refusal.status, refusal.reason), *refusal.headers), None, None)

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
        agent = Agent(self._config, None, username, password, address)
        dialog = Dialog(agent, ears)
        dialog.begin_outbound(sdp)
        agent.lContact = contact_of_ours()
        begin = Try((SipCallId(), caller_id, to, MsgBody(sdp), None, caller_name or None))
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
            user_agent=USER_AGENT,
        )
        self._transactions.newTransaction(request)

    def register_at(
        self, trunk: tuple[str, int], domain: str, account: tuple[str, str], heard: Callable[[bool, str], None]
    ) -> None:
        """Register at a trunk, now and again before it runs out."""
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


def headers_of(request: Any) -> Headers:
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
        text_of(request.getBody()),
    )


def _number(request: Any, name: str) -> int:
    if not request.countHFs(name):
        return -1
    return int(request.getHFBody(name).getNum())
