"""The SIP process's middle: the server's commands to dialogs, the dialogs' doings to the server."""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from time import monotonic

from beckon.core.ids import fresh
from beckon.providers.sip import wire
from beckon.providers.sip.link import Link
from beckon.providers.sip.settings import SipSettings, TrunkSettings
from beckon.providers.sip.stack.access import Access, Denied
from beckon.providers.sip.stack.dialogs import Dialog, DialogEars
from beckon.providers.sip.stack.loop import Headers, Refusal, SipLoop
from beckon.providers.sip.stack.registrar import EXPIRES_MAX, EXPIRES_MIN, EXPIRES_USUAL, Registrar

#: How long goodbyes may take before the process ends all the same.
_GOODBYE_S = 2.0
_LOOK_S = 0.05
#: Routers forget a UDP way after half a minute.
_KEEP_OPEN_S = 25.0
#: How often a trunk's name is looked up.
_RESOLVE_S = 300.0
_REASONS = {
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}


class Exchange:
    """All legs of this process, and the loop that carries them."""

    def __init__(self, server: socket.socket) -> None:
        self._link = Link(server, wire.read_command)
        self._dialogs: dict[str, Dialog] = {}
        self._registrar = Registrar(monotonic)
        self._trunk_hosts: dict[str, str] = {}
        self._settings = SipSettings()
        self._access = Access(self._settings, monotonic)
        self._closing = False
        self._told_to_close = False
        self._obey: dict[type, Callable[..., None]] = {
            wire.Reply: self._reply,
            wire.Invite: self._invite,
            wire.Offer: self._offer,
            wire.Accept: self._accept,
            wire.End: self._end,
            wire.Forget: lambda said: self._loop.forget(said.dialog),
            wire.Restore: self._restore,
            wire.Quit: lambda said: self.close(),
        }

    def run(self, settings: SipSettings) -> None:
        """Serve until the server goes. Raises ``OSError`` where the port can't be had."""
        self._settings = settings
        self._access = Access(settings, monotonic)
        self._loop = SipLoop(settings.host, settings.port, settings.public_address, self)
        self._loop.listen(self._link.fileno(), self._take_commands)
        for name, trunk in settings.trunks.items():
            self._trunk_hosts[name] = trunk.host
            Thread(target=self._resolve, args=(name, trunk), daemon=True).start()
            if trunk.register:
                self._loop.after(_LOOK_S, lambda name=name, trunk=trunk: self._register_at(name, trunk))  # type: ignore[misc]
        self._loop.after(_KEEP_OPEN_S, self._keep_open)
        self._link.tell(wire.Ready(self._loop.address[1]))
        self._loop.run(self._every_turn)

    def _keep_open(self) -> None:
        """Let something pass, so that routers between us and the phones keep the way open."""
        for address in self._registrar.addresses():
            self._loop.send(b"\r\n\r\n", address)
        self._loop.after(_KEEP_OPEN_S, self._keep_open)

    def close_soon(self) -> None:
        """Close at the loop's next turn: what a signal may ask for."""
        self._told_to_close = True

    def _every_turn(self) -> None:
        if self._told_to_close:
            self.close()

    def close(self) -> None:
        """Say goodbye to everybody, wait a moment for the answers, end."""
        if self._closing:
            return
        self._closing = True
        for dialog in list(self._dialogs.values()):
            dialog.end(503, _REASONS[503])
        self._dialogs.clear()
        until_s = monotonic() + _GOODBYE_S
        self._loop.after(_LOOK_S, lambda: self._look(until_s))

    def _look(self, until_s: float) -> None:
        if self._loop.waiting and monotonic() < until_s:
            self._loop.after(_LOOK_S, lambda: self._look(until_s))
        else:
            self._link.flush()
            self._loop.end()

    def _take_commands(self) -> None:
        for said in self._link.read():
            self._obey[type(said)](said)
        if self._link.gone:
            self.close()

    def tell(self, report: wire.Value) -> None:
        """Tell the server."""
        self._link.tell(report)
        if self._link.unsent:
            self._loop.after(_LOOK_S, self._link.flush)

    # Who comes (``Caller``).

    def invited(self, headers: Headers) -> Refusal | DialogEars:
        """Decide about a call that comes in."""
        decided = self._access.calls(headers.host, headers.caller, headers.asserted, headers.authorization)
        if isinstance(decided, Denied):
            return _refusal(decided, "Proxy-Authenticate")
        if self._closing:
            return Refusal(503, _REASONS[503])
        invited = wire.Invited(
            fresh("leg"), decided.caller, headers.called, decided.source, headers.call_id, headers.sdp
        )
        return _Ears(self, invited.leg, invited)

    def registers(self, headers: Headers) -> Refusal:
        """Decide about a registration."""
        user = headers.to_user
        decided = self._access.registers(headers.host, user, headers.authorization)
        if isinstance(decided, Denied):
            return _refusal(decided, "WWW-Authenticate")
        seconds = headers.expires if headers.expires >= 0 else EXPIRES_USUAL
        if 0 < seconds < EXPIRES_MIN:
            return Refusal(423, "Interval Too Brief", (f"Min-Expires: {EXPIRES_MIN}",))
        seconds = min(seconds, EXPIRES_MAX)
        if headers.contact_is_star and headers.expires != 0:
            return Refusal(400, "Bad Request")
        if headers.contact_is_star:
            seconds = 0
        elif not headers.contact:  # it only asks
            found = self._registrar.find(user)
            left = max(0, int(found.until_s - monotonic())) if found else 0
            return Refusal(200, "OK", (f"Contact: <{found.contact}>;expires={left}",) if found else ())
        self._registrar.register(user, headers.contact, headers.host, headers.port, seconds)
        self.tell(wire.Registered(user, headers.contact, headers.host, headers.port, seconds))
        return Refusal(200, "OK", (f"Contact: <{headers.contact}>;expires={seconds}",) if seconds else ())

    # What the server says.

    def _reply(self, said: wire.Reply) -> None:
        dialog = self._dialogs.get(said.leg)
        if dialog is None:
            return
        dialog.reply(said.status, _REASONS.get(said.status, "Refused"), said.sdp)
        if said.status >= 300:
            self.drop(said.leg)

    def _invite(self, said: wire.Invite) -> None:
        ears = _Ears(self, said.leg, None)
        contact: str | None = None
        account: tuple[str, str] | None = None
        to = said.to
        if said.phone:
            found = self._registrar.find(said.phone)
            if found is None:
                self.tell(wire.Ended(said.leg, 480, False, "the phone is not registered"))
                return
            address, contact = (found.host, found.port), found.contact
        else:
            trunk = self._settings.trunks[said.trunk]
            address = (self._trunk_hosts[said.trunk], trunk.port)
            to = said.to if trunk.plus else said.to.removeprefix("+")
            if trunk.username:
                account = (trunk.username, trunk.password)
        try:
            dialog = self._loop.invite(
                ears,
                to,
                address,
                caller_id=said.caller_id or "anonymous",
                caller_name=said.caller_name,
                sdp=said.sdp,
                contact=contact,
                account=account,
            )
        except Exception as error:
            # A registered contact is somebody else's text: one that sippy can't use costs that call, nothing else.
            self.tell(wire.Ended(said.leg, 500, False, f"the call could not be sent: {type(error).__name__}"))
            return
        if not dialog.ended:
            self._dialogs[said.leg] = dialog

    def _offer(self, said: wire.Offer) -> None:
        dialog = self._dialogs.get(said.leg)
        if dialog is not None:
            dialog.reoffer(said.sdp)

    def _accept(self, said: wire.Accept) -> None:
        dialog = self._dialogs.get(said.leg)
        if dialog is not None:
            dialog.accept(said.status, _REASONS.get(said.status, "Refused"), said.sdp)

    def _end(self, said: wire.End) -> None:
        dialog = self._dialogs.get(said.leg)
        if dialog is not None:
            dialog.end(said.status, _REASONS.get(said.status, "Refused"))
            self.drop(said.leg)
            self.tell(wire.Ended(said.leg, 0, False, said.reason))

    def _restore(self, said: wire.Restore) -> None:
        self._registrar.register(said.user, said.contact, said.host, said.port, said.seconds)

    def hold(self, leg: str, dialog: Dialog) -> None:
        """A dialog has begun."""
        self._dialogs[leg] = dialog

    def drop(self, leg: str) -> None:
        """A dialog is over."""
        self._dialogs.pop(leg, None)

    # Trunks.

    def _resolve(self, name: str, trunk: TrunkSettings) -> None:
        never = Event()
        while True:
            with suppress(OSError):  # it keeps the address that it had last
                self._trunk_hosts[name] = str(socket.getaddrinfo(trunk.host, None, socket.AF_INET)[0][4][0])
            never.wait(_RESOLVE_S)

    def _register_at(self, name: str, trunk: TrunkSettings) -> None:
        self._loop.register_at(
            (self._trunk_hosts[name], trunk.port),
            trunk.host,
            (trunk.username, trunk.password),
            lambda up, why: self.tell(wire.TrunkState(name, up, why)),
        )


class _Ears:
    """Hears one dialog for the server."""

    def __init__(self, exchange: Exchange, leg: str, invited: wire.Invited | None) -> None:
        self._exchange = exchange
        self._leg = leg
        self._invited = invited

    def begun(self, dialog: Dialog) -> None:
        self._exchange.hold(self._leg, dialog)
        if self._invited is not None:
            self._exchange.tell(self._invited)

    def progress(self, status: int, sdp: str) -> None:
        self._exchange.tell(wire.Progress(self._leg, status, sdp))

    def answered(self, sdp: str, facts: wire.DialogFacts) -> None:
        self._exchange.tell(wire.Answered(self._leg, sdp, facts))

    def acked(self, sdp: str, facts: wire.DialogFacts) -> None:
        self._exchange.tell(wire.Acked(self._leg, sdp, facts))

    def reoffered(self, sdp: str) -> None:
        self._exchange.tell(wire.Reoffered(self._leg, sdp))

    def agreed(self, sdp: str) -> None:
        self._exchange.tell(wire.Agreed(self._leg, sdp))

    def key(self, key: str) -> None:
        self._exchange.tell(wire.KeyByInfo(self._leg, key))

    def ended(self, status: int, reason: str) -> None:
        self._exchange.drop(self._leg)
        self._exchange.tell(wire.Ended(self._leg, status, True, reason))


def _refusal(denied: Denied, asks: str) -> Refusal:
    return Refusal(denied.status, denied.reason, (f"{asks}: {denied.challenge}",) if denied.challenge else ())
