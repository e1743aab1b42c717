"""Dialogs: what becomes of one call at the SIP side, in sippy's words and in ours."""

from typing import Any, Protocol

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
from sippy.MsgBody import MsgBody
from sippy.SipHeader import SipHeader

from beckon.providers.sip.stack.sippy_stack import ALLOW, KNOWN, Agent, Connected, with_headers
from beckon.providers.sip.wire import DialogFacts


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


class Dialog:
    """One dialog, in or out."""

    def __init__(self, agent: Agent, ears: DialogEars) -> None:
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
        if not isinstance(self._agent.state, Connected) or self._unacked:
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

    def begin_outbound(self, sdp: str) -> None:
        """An INVITE with this description goes out."""
        self._sdp = sdp

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
                self._ears.progress(status, text_of(body))
        elif kind is CCEventConnect:
            self._connected(event)
        elif kind is CCEventUpdate:
            self._ears.reoffered(text_of(event.getData()))
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
            self._ears.acked(text_of(body), self.facts)
        elif word == "ACK" or self._agent.origin == "caller" or self._answered:
            self._ears.agreed(text_of(body))
        else:
            self._answered = True
            self._ears.answered(text_of(body), self.facts)

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
            return with_headers(request.genResponse(200, "OK"), f"Allow: {ALLOW}")
        if method == "UPDATE":
            return self._updated(request)
        if method == "REFER":
            return request.genResponse(603, "Decline")
        if method == "NOTIFY":
            return request.genResponse(481, "Subscription Does Not Exist")
        status, reason = (405, "Method Not Allowed") if method in KNOWN else (501, "Not Implemented")
        return with_headers(request.genResponse(status, reason), f"Allow: {ALLOW}")

    def _updated(self, request: Any) -> Any:
        answer = None
        if request.getBody() is None:
            answer = request.genResponse(200, "OK")
        elif self._update is not None or not (self._sdp and self._agent.isConnected()) or self._unacked:
            answer = with_headers(request.genResponse(500, "Server Internal Error"), "Retry-After: 2")
        elif not isinstance(self._agent.state, Connected):
            answer = request.genResponse(491, "Request Pending")
        if answer is None:
            self._update = request
            self._ears.reoffered(text_of(request.getBody()))
        else:
            answer.appendHeader(SipHeader(name="contact", body=self._agent.lContact.getCopy()))
        return answer


def text_of(body: Any) -> str:
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
