"""The little IO of mail: a few kept connections to one SMTP server.

A message may be sent again only while it is sure that the server does not have it: until DATA. What breaks after that
is doubtful, and says so.
"""

import asyncio
import ssl
from typing import NoReturn

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from beckon.core.clock import SystemClock
from beckon.core.errors import BeckonError, Misconfigured, Unavailable, Unsupported
from beckon.core.message import Handed, Outbound
from beckon.messaging.channel import Channel, Connections
from beckon.providers.provider import need, unspeakable
from beckon.providers.smtp.payloads import CAPABILITIES, NAME, Mail, Settings, build, domain_of, failure


class SmtpChannel:
    """One account with one SMTP server."""

    name = "email"
    provider = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: Settings, _: Connections) -> None:
        need(settings, NAME, "host", "from_address")
        self._settings = settings
        self._domain = domain_of(settings.from_address)
        self._clock = SystemClock()
        self._idle: list[SMTP] = []
        self._room = asyncio.Semaphore(max(1, settings.connections_max))
        self._tls: ssl.SSLContext | None = None

    async def send(self, message: Outbound) -> Handed:
        """Hand one message over. Raises one of the four kinds of ``core.errors``."""
        at_ms = message.extras.get("now_ms")
        try:
            mail = build(message, self._settings, at_ms if type(at_ms) is int else self._clock.now_ms())
        except UnicodeEncodeError:
            raise unspeakable(NAME) from None
        async with self._room:
            await self._carry(mail)
        return Handed(mail.id)

    async def close(self) -> None:
        """Say goodbye on the kept connections."""
        while self._idle:
            client = self._idle.pop()
            try:
                await client.quit(timeout=2)
            except (SMTPException, OSError):
                client.close()

    async def _carry(self, mail: Mail) -> None:
        while True:
            client = self._idle.pop() if self._idle else None
            kept = client is not None
            if client is None:
                client = await self._connected()
            try:
                again = await self._exchange(client, mail, kept)
            except BeckonError:
                self._keep(client)
                raise
            except BaseException:
                # Cancelled: what state the connection is in is anybody's guess.
                client.close()
                raise
            self._keep(client)
            if not again:
                return

    def _keep(self, client: SMTP) -> None:
        if client.is_connected:
            self._idle.append(client)

    async def _exchange(self, client: SMTP, mail: Mail, kept: bool) -> bool:
        """Say one message; True: the kept connection was dead, and nothing was said."""
        phase = "mail"
        try:
            await self._envelope(client, mail)
            phase = "data"
            await client.data(mail.content)
        except SMTPServerDisconnected:
            if phase == "mail" and kept:
                return True
            raise Unavailable(
                f"{NAME}.connection_lost", "the mail server closed the connection", doubtful=phase == "data"
            ) from None
        except SMTPTimeoutError:
            raise Unavailable(
                f"{NAME}.timeout", "the mail server did not answer in time", doubtful=phase == "data"
            ) from None
        except SMTPResponseException as error:
            if phase == "mail" and kept and error.code == 421:
                client.close()  # it was about to hang up
                return True
            await self._back_to_start(client)
            if isinstance(error, aiosmtplib.SMTPRecipientRefused):
                phase = "rcpt"
            raise failure(error.code, error.message, phase) from None
        except SMTPException:
            client.close()
            raise Unavailable(f"{NAME}.failed", "the mail server broke off", doubtful=phase == "data") from None
        return False

    @staticmethod
    async def _envelope(client: SMTP, mail: Mail) -> None:
        options, sizes, encoding = [], [], "ascii"
        if mail.utf8:
            if not client.supports_extension("smtputf8"):
                raise Unsupported(f"{NAME}.utf8", "the mail server can't reach addresses with letters beyond ASCII")
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        if client.supports_extension("dsn"):
            options += ["RET=HDRS", f"ENVID={mail.reference}"]
            sizes = ["NOTIFY=FAILURE,DELAY"]
        await client.mail(mail.sender, options=options, encoding=encoding)
        await client.rcpt(mail.recipient, options=sizes, encoding=encoding)

    async def _back_to_start(self, client: SMTP) -> None:
        try:
            await client.rset()
        except (SMTPException, OSError):
            client.close()

    async def _connected(self) -> SMTP:
        settings = self._settings
        if settings.tls != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(_tls_context, settings.ca_file)
        client = SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=self._domain,
            timeout=settings.timeout_s,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._tls,
            username=settings.username or None,
            password=settings.password or None,
        )
        try:
            await client.connect()
            await client._ehlo_or_helo_if_needed()
        except (SMTPException, OSError) as error:
            client.close()
            _not_connected(error)
        except BaseException:
            client.close()
            raise
        return client


def _not_connected(error: Exception) -> NoReturn:
    raise _connecting(error) from None


def _connecting(error: Exception) -> BeckonError:
    """The error for a connection that was not made: nothing was said, so nothing is doubtful."""
    if isinstance(error, SMTPAuthenticationError):
        return failure(error.code, error.message, "auth")
    if isinstance(error, SMTPResponseException):
        return failure(error.code, error.message, "connect")
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    if isinstance(cause, ssl.SSLError):
        return Misconfigured(f"{NAME}.tls", f"no secure connection to the mail server: {cause.reason or 'TLS failed'}")
    if isinstance(error, (SMTPTimeoutError, OSError, SMTPServerDisconnected)):
        return Unavailable(f"{NAME}.unreachable", "the mail server can't be reached")
    return Misconfigured(f"{NAME}.sign_in", "the mail server offers no way to sign in or no TLS: check tls and port")


def _tls_context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError):
        raise Misconfigured(f"{NAME}.ca_file", "ca_file can't be read", field="ca_file") from None


async def close(channel: Channel) -> None:
    """End what the channel keeps."""
    if isinstance(channel, SmtpChannel):
        await channel.close()
