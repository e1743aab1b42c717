"""No secret, number, address or text stands in a log, an error or a settings' picture."""

import logging

import pytest

from beckon.core.errors import BeckonError
from beckon.core.message import Rendered
from tests.contracts.conftest import Stand

TEXT = "Confidential: the gearbox is broken"


async def test_secrets_are_not_in_the_settings_picture(stand: Stand):
    given = stand.twin.settings("http://sandbox.test")
    secrets = [str(given[name]) for name in stand.provider.secrets if given.get(name)]
    assert secrets
    pictures = [repr(stand.settings), str(stand.settings), f"{stand.settings}", repr([stand.settings])]
    pictures.append(repr(list(stand.settings.__rich_repr__())))
    for picture in pictures:
        assert not [secret for secret in secrets if secret in picture]
    assert type(stand.settings).__name__ in pictures[0]


async def test_every_secret_is_named(stand: Stand):
    """A field whose name sounds like a secret is one."""
    for name in stand.settings.__struct_fields__:
        sounds = any(word in name for word in ("secret", "token", "password", "key")) and not name.endswith("_sid")
        assert not sounds or name in stand.provider.secrets, name


async def test_errors_and_logs_hold_nothing_personal(stand: Stand, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, logger="beckon")
    rendered = Rendered(text=TEXT, subject=TEXT)
    given = stand.twin.settings("http://sandbox.test")
    hidden = [str(given[name]) for name in stand.provider.secrets if given.get(name)]
    hidden += [stand.case.address, stand.case.address.removeprefix("+"), "gearbox"]
    said: list[str] = []
    await stand.open_window()
    for fault in ("", "down", "rate_limited", "number_invalid", *(f"code {code}" for code in stand.case.errors)):
        stand.twin.faults.clear()
        if fault.startswith("code "):
            stand.twin.faults.answer_code = fault.removeprefix("code ")
        elif fault:
            setattr(stand.twin.faults, fault, True)
        try:
            await stand.channel.send(stand.outbound(rendered))
        except BeckonError as error:
            said += [str(error), repr(error), error.why, error.code, repr(error.__cause__)]
    if stand.provider.read_webhook is not None:
        await stand.twin.reply(stand.case.address, TEXT)
        await stand.settle()
    for name, request in [(name, request) for name in stand.provider.secrets for request in stand.posted[-1:]]:
        try:
            stand.read(request, stand.with_settings(**{name: "other"}))
        except BeckonError as error:
            said += [str(error), repr(error)]
    said += [record.getMessage() for record in caplog.records if record.name.startswith("beckon")]
    assert said
    for words in said:
        assert not [secret for secret in hidden if secret in words], words
