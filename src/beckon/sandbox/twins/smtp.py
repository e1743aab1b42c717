"""A mail server, pretended: aiosmtpd with mailboxes in memory; bounces and answers go to our webhook, signed."""

import asyncio
import email
import hmac
import logging
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from html.parser import HTMLParser
from typing import Any, ClassVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from beckon.core.ids import fresh
from beckon.sandbox.twins.party import Party, Shown, ShownButton

_SIZE_BYTES_MAX = 10 * 1024 * 1024


class Twin(Party):
    """A mail server with one account, and everybody's mailbox."""

    provider = "smtp"
    errors: ClassVar[dict[str, tuple[int, str]]] = {
        "421": (421, "4.3.2 Service shutting down"),
        "450": (450, "4.7.1 Too many messages, slow down"),
        "451": (451, "4.3.0 Local error in processing"),
        "452": (452, "4.3.1 Insufficient system storage"),
        "550": (550, "5.1.1 User unknown"),
        "552": (552, "5.2.2 Mailbox full"),
        "553": (553, "5.1.3 Mailbox name not allowed"),
        "554": (554, "5.7.1 Rejected by policy"),
    }

    user = "workshop"

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **given: Any) -> None:
        super().__init__(**given)
        self.host = host
        #: 0: any free port, known after ``start``
        self.port = port
        self.sender = "service@garage.example"
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Begin to listen."""
        if self._server is None:
            # aiosmtpd warns of its own deprecations at every sign-in.
            logging.getLogger("mail.log").setLevel(logging.ERROR)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._sessions):
                transport.close()
            await self._server.wait_closed()
            self._server = None

    def known_as(self, person: str) -> str:
        """Mailboxes don't mind capitals."""
        return person.lower()

    def settings(self, base_url: str) -> dict[str, object]:
        """The settings that point the real provider here, once it listens."""
        return {
            "host": self.host,
            "port": self.port,
            "tls": "none",
            "username": self.user,
            "password": self.key("pwd"),
            "from_address": self.sender,
            "from_name": "Garage Peeters",
            "webhook_secret": self.key("hook"),
        }

    # What the person does.

    async def reply(self, person: str, text: str) -> str:
        """The person answers by mail; gives its Message-ID."""
        person = self.known_as(person)
        before = next((shown for shown in reversed(self.messages(person)) if not shown.own), None)
        mail = self._mail(person, self.sender, f"Re: {before.subject}" if before else "Hello")
        if before is not None:
            mail["In-Reply-To"] = f"<{before.id}>"
        quoted = "".join(f"> {line}\n" for line in before.text.splitlines()) if before else ""
        mail.set_content(f"{text}\n\nOn an earlier day {self.sender} wrote:\n{quoted}" if quoted else f"{text}\n")
        return self.inbound(person, mail, text)

    def inbound(self, person: str, mail: EmailMessage, text: str) -> str:
        """The person sends any mail; gives its Message-ID."""
        id_ = str(mail["Message-ID"]).strip("<>")
        subject = str(mail["Subject"])
        self.show(
            Shown(
                id=id_,
                person=person,
                at_ms=self.clock.now_ms(),
                text=text,
                own=True,
                subject=subject,
                state="delivered",
            )
        )
        self.post(mail.as_bytes(policy=policy.SMTP), self.sign)
        return id_

    # What comes back.

    def plan_receipts(self, message: Shown) -> None:
        """A mail server says nothing when all goes well."""
        if self.faults.fail_later:
            for after_ms, state in self.faults.plan(("failed",)):
                self.receipt(message, state, after_ms)
        else:
            self.changed(message, "delivered")

    def receipt(self, message: Shown, state: str, after_ms: int, code: str = "") -> None:
        """A bounce (RFC 3464); nothing is said of what was read."""
        if state != "failed":
            self.changed(message, state)
            return
        status = code or self.faults.fail_code or "5.1.1"
        report = self._mail(
            f"mailer-daemon@{self.sender.rpartition('@')[2]}", self.sender, "Undelivered Mail Returned to Sender"
        )
        report["Auto-Submitted"] = "auto-replied"
        report.set_content("This is the mail system. Your message could not be delivered.\n")
        report.make_mixed()
        fields = EmailMessage()
        fields["Reporting-MTA"] = "dns; mx.garage.example"
        recipient = EmailMessage()
        recipient["Final-Recipient"] = f"rfc822; {message.person}"
        recipient["Action"] = "failed"
        recipient["Status"] = status
        recipient["Diagnostic-Code"] = f"smtp; 550 {status} <{message.person}>: Recipient address rejected"
        body = report.as_bytes(policy=policy.SMTP).replace(
            b"multipart/mixed;", b"multipart/report; report-type=delivery-status;", 1
        )
        boundary = report.get_boundary() or ""
        parts = [
            b"Content-Type: message/delivery-status\r\n\r\n"
            + b"\r\n".join(part.as_bytes(policy=policy.SMTP).strip() + b"\r\n" for part in (fields, recipient)),
            b"Content-Type: message/rfc822\r\n\r\n" + bytes(message.raw),
        ]
        end = f"--{boundary}--".encode()
        body = body.rpartition(end)[0] + b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts) + end
        self.post(body + b"\r\n", self.sign, after_ms=after_ms, shown=(message, "failed"))

    def sign(self, _: str, body: bytes, now_ms: int) -> dict[str, str]:
        """A webhook's headers."""
        at_s = now_ms // 1000
        proof = hmac.new(self.key("hook").encode(), f"{at_s}.".encode() + body, "sha256").hexdigest()
        return {"Content-Type": "message/rfc822", "X-Beckon-Signature": f"t={at_s},v1={proof}"}

    def _mail(self, sender: str, to: str, subject: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = f"{self.names.get(sender, 'Jan Peeters')} <{sender}>"
        mail["To"] = to
        mail["Subject"] = subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(self.clock.now_ms() / 1000, tz=UTC))
        mail["Message-ID"] = f"<{fresh('mail')}@{sender.rpartition('@')[2]}>"
        return mail

    # The server.

    def _protocol(self) -> asyncio.BaseProtocol:
        server = _Session(
            self,
            data_size_limit=_SIZE_BYTES_MAX,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=self._authenticate,
            hostname="mx.garage.example",
            loop=asyncio.get_running_loop(),
        )
        server.twin = self
        return server

    def _authenticate(self, _: Any, __: Any, ___: Any, mechanism: str, given: Any) -> AuthResult:
        fits = (
            isinstance(given, LoginPassword)
            and given.login == self.user.encode()
            and hmac.compare_digest(given.password, self.key("pwd").encode())
        )
        return AuthResult(success=bool(fits), handled=False)

    def _said(self, code: str) -> str:
        number, words = self.errors.get(code, (int(code), "5.0.0 Error" if code[0] == "5" else "4.0.0 Error"))
        return f"{number} {words}"

    async def handle_MAIL(self, _: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        """A mail begins."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self.faults.rate_limited:
            return self._said("450")
        if address != self.sender:
            return "553 5.7.1 Sender address rejected: not owned by user"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(self, _: Any, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        """Somebody is to have it."""
        if self.faults.number_invalid or "@" not in address:
            return f"550 5.1.1 <{address}>: Recipient address rejected: User unknown"
        if self.faults.answer_code:
            return self._said(self.faults.answer_code)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, _: Any, __: Session, envelope: Envelope) -> str:
        """The mail itself."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        for recipient in envelope.rcpt_tos:
            message = _shown(content, self.known_as(recipient), self.clock.now_ms())
            self.show(message)
            self.plan_receipts(message)
        await self.slow()
        return "250 2.0.0 Ok: queued"


class _Session(SMTP):
    """One connection; hangs up at once when the server is down."""

    twin: Twin
    _refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.twin.faults.down:
            self._refused = True
            transport.close()
            return
        self.twin._sessions.add(transport)  # type: ignore[arg-type]
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        self.twin._sessions.discard(self.transport)
        super().connection_lost(error)


def _shown(content: bytes, person: str, now_ms: int) -> Shown:
    """A mail as a mail program shows it."""
    mail = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
    text = str(plain.get_content()) if plain is not None else ""
    html = str(rich.get_content()) if rich is not None else ""
    id_ = str(mail["Message-ID"] or fresh("mail")).strip("<>")
    return Shown(
        id=id_,
        person=person,
        at_ms=now_ms,
        text=text.replace("\r\n", "\n").rstrip("\n"),
        subject=str(mail["Subject"] or ""),
        html=html,
        buttons=_links(html),
        reference=id_.partition("@")[0],
        raw=content,
    )


class _LinkReader(HTMLParser):
    """Collects the links of a mail's HTML, which a person may tap."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[ShownButton] = []
        self._url = ""
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._url, self._words = dict(attrs).get("href") or "", []

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._url.startswith(("https://", "http://")):
            self.links.append(ShownButton("link", "".join(self._words).strip(), self._url))
            self._url = ""


def _links(html: str) -> tuple[ShownButton, ...]:
    reader = _LinkReader()
    reader.feed(html)
    reader.close()
    return tuple(reader.links)
