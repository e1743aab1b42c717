"""The channel before a mail server from a package: TLS, kept connections, servers that hang up, half-said mails."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from beckon.core.errors import Misconfigured, Refused, Unavailable, Unsupported
from beckon.core.message import Outbound, Rendered
from beckon.providers.smtp.channel import SmtpChannel
from beckon.providers.smtp.payloads import Settings
from tests.contracts.connections import AppConnections

HERE = Path(__file__).parent / "fixtures"


class Inbox:
    """A handler of aiosmtpd's that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.sessions: list[Session] = []
        self.connections = 0
        #: what to answer to the next recipient or mail
        self.rcpt = ""
        self.hang_up_before = ""

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hang_up_before == "MAIL":
            self.hang_up_before = ""
            self._hang_up(server)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            answer, self.rcpt = self.rcpt, ""
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(envelope)
        self.sessions.append(session)
        if self.hang_up_before == "DATA":
            self.hang_up_before = ""
            self._hang_up(server)
        return "250 OK"

    @staticmethod
    def _hang_up(server: SMTP) -> None:
        assert server.transport is not None
        server.transport.abort()  # type: ignore[attr-defined]


Serve = Callable[..., Any]


@pytest.fixture
async def serving() -> AsyncIterator[Serve]:
    """Start a server in this loop, and a channel to it; everything is ended after the test."""
    ends: list[Callable[[], Awaitable[None]]] = []

    async def serve(
        inbox: Inbox, *, tls: ssl.SSLContext | None = None, wrapped: bool = False, settings: Any = None, **more: Any
    ) -> SmtpChannel:
        protocols: list[SMTP] = []

        def protocol() -> SMTP:
            inbox.connections += 1
            protocols.append(SMTP(inbox, tls_context=None if wrapped else tls, hostname="mx.test", **more))
            return protocols[-1]

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls if wrapped else None)
        port = server.sockets[0].getsockname()[1]
        given = {"host": "127.0.0.1", "port": port, "from_address": "service@garage.example", "tls": "none"}
        channel = SmtpChannel(Settings(**{**given, "timeout_s": 5.0, **(settings or {})}), AppConnections())

        async def end() -> None:
            await channel.close()
            server.close()
            for one in protocols:
                if one.transport is not None:
                    one.transport.close()
            await server.wait_closed()

        ends.append(end)
        return channel

    yield serve
    for end in ends:
        await end()


def mail(number: int = 1, to: str = "jan@mail.example", text: str = "Ready.") -> Outbound:
    return Outbound(delivery_id=f"dlv_{number}", attempt=1, to=to, rendered=Rendered(text=text, subject="Your car"))


@asynccontextmanager
async def tls_context() -> AsyncIterator[ssl.SSLContext]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "localhost.cert.pem", HERE / "localhost.key.pem")
    yield context


async def test_one_connection_is_kept(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    for number in range(5):
        await channel.send(mail(number))
    assert len(inbox.mails) == 5
    assert inbox.connections == 1


async def test_no_more_connections_than_allowed(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox, settings={"connections_max": 2})
    await asyncio.gather(*[channel.send(mail(number)) for number in range(12)])
    assert len(inbox.mails) == 12
    assert inbox.connections == 2


async def test_a_kept_connection_that_the_server_closed_is_replaced(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    await channel.send(mail(1))
    inbox.hang_up_before = "MAIL"
    await channel.send(mail(2))
    assert [envelope.content for envelope in inbox.mails] != []
    assert len(inbox.mails) == 2
    assert inbox.connections == 2


async def test_a_first_connection_that_breaks_before_the_mail_is_not_doubtful(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    inbox.hang_up_before = "MAIL"
    with pytest.raises(Unavailable) as error:
        await channel.send(mail())
    assert not error.value.doubtful
    assert inbox.mails == []


async def test_a_server_that_hangs_up_after_the_mail_is_doubtful_and_it_isn_t_said_again(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    await channel.send(mail(1))
    inbox.hang_up_before = "DATA"
    with pytest.raises(Unavailable) as error:
        await channel.send(mail(2))
    assert error.value.doubtful
    assert len(inbox.mails) == 2


async def test_after_a_refusal_the_connection_is_used_again(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    inbox.rcpt = "550 5.1.1 <jan@mail.example>: no such user"
    with pytest.raises(Refused) as error:
        await channel.send(mail(1))
    assert "jan" not in str(error.value)
    await channel.send(mail(2))
    assert inbox.connections == 1
    assert [envelope.rcpt_tos for envelope in inbox.mails] == [["jan@mail.example"]]


async def test_a_cancelled_mail_leaves_no_connection_in_the_middle_of_things(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    await channel.send(mail(1))
    task = asyncio.ensure_future(channel.send(mail(2)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await channel.send(mail(3))
    assert b"dlv_3" in (inbox.mails[-1].original_content or b"")


@pytest.mark.parametrize("wrapped", [False, True])
async def test_tls_in_both_ways(serving: Serve, wrapped: bool):
    inbox = Inbox()
    async with tls_context() as context:
        settings = {"tls": "tls" if wrapped else "starttls", "ca_file": str(HERE / "localhost.cert.pem")}
        channel = await serving(inbox, tls=context, wrapped=wrapped, require_starttls=not wrapped, settings=settings)
        await channel.send(mail())
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_certificate_that_nobody_vouches_for_is_the_operator_s_affair(serving: Serve, wrapped: bool):
    inbox = Inbox()
    async with tls_context() as context:
        channel = await serving(inbox, tls=context, wrapped=wrapped, settings={"tls": "tls" if wrapped else "starttls"})
        with pytest.raises(Misconfigured, match="secure"):
            await channel.send(mail())
    assert inbox.mails == []


async def test_a_server_without_tls_is_told_nothing_when_tls_is_wanted(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox, settings={"tls": "starttls", "username": "u", "password": "p"})
    with pytest.raises(Misconfigured):
        await channel.send(mail())
    assert inbox.mails == []


async def test_signing_in(serving: Serve):
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=isinstance(given, LoginPassword) and given.password == b"right horse", handled=False)

    inbox = Inbox()
    account = {"username": "workshop", "password": "right horse"}
    channel = await serving(inbox, authenticator=check, auth_require_tls=False, settings=account)
    await channel.send(mail())
    channel = await serving(
        inbox, authenticator=check, auth_require_tls=False, settings={**account, "password": "wrong"}
    )
    with pytest.raises(Misconfigured) as error:
        await channel.send(mail())
    assert "wrong" not in str(error.value)
    channel = await serving(inbox, settings=account)
    with pytest.raises(Misconfigured, match="sign in"):
        await channel.send(mail())


async def test_letters_beyond_ascii_in_an_address_need_a_server_that_takes_them(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox, enable_SMTPUTF8=True)
    await channel.send(mail(to="jürgen@mail.example"))
    assert inbox.mails[0].rcpt_tos == ["jürgen@mail.example"]
    channel = await serving(inbox, enable_SMTPUTF8=False)
    with pytest.raises(Unsupported):
        await channel.send(mail(to="jürgen@mail.example"))


async def test_a_line_with_a_dot_stays_a_line_with_a_dot(serving: Serve):
    inbox = Inbox()
    channel = await serving(inbox)
    await channel.send(mail(text="One\n.\n..\nQUIT\nTwo"))
    assert b"\r\n.\r\n..\r\nQUIT\r\nTwo" in (inbox.mails[0].original_content or b"")
    assert len(inbox.mails) == 1


async def test_nobody_listens(serving: Serve):
    settings = Settings(host="127.0.0.1", port=1, tls="none", from_address="service@garage.example")
    with pytest.raises(Unavailable) as error:
        await SmtpChannel(settings, AppConnections()).send(mail())
    assert not error.value.doubtful


async def test_a_ca_file_that_isn_t_there_is_the_operator_s_affair():
    settings = Settings(host="127.0.0.1", port=1, ca_file="/no/such/file", from_address="service@garage.example")
    with pytest.raises(Misconfigured, match="ca_file"):
        await SmtpChannel(settings, AppConnections()).send(mail())
