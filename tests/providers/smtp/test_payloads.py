"""What a mail looks like: both parts, links, who may stop it; and nothing that a text brings in adds a header."""

import email
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from beckon.core.errors import BeckonError, Refused, Unsupported
from beckon.core.message import Button, Media, Outbound, Rendered
from beckon.providers.smtp.payloads import Mail, Settings, build, failure

AT_MS = 1_790_000_000_000
SETTINGS = Settings(
    host="mx", from_address="service@garage.example", from_name="Garage Péeters", reply_to="team@garage.example"
)
LINK = Button("link", "Start check-in", "https://garage.example/go/1?a=1&b=2")


def mail_of(rendered: Rendered, given: Settings = SETTINGS, to: str = "jan@mail.example", **more: object) -> Mail:
    return build(Outbound(delivery_id="dlv_1", attempt=1, to=to, rendered=rendered, **more), given, AT_MS)  # type: ignore[arg-type]


def read(mail: Mail) -> EmailMessage:
    message = email.message_from_bytes(mail.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def words(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n").rstrip("\n")


def test_a_mail_has_both_parts_and_its_headers():
    mail = mail_of(Rendered(text="Dag Jan,\n\nklaar! ✓", subject="Uw auto ✓", buttons=(LINK,), locale="nl-BE"))
    message = read(mail)
    assert mail.id == "dlv_1@garage.example"
    assert (mail.sender, mail.recipient, mail.utf8) == ("service@garage.example", "jan@mail.example", False)
    assert {name: str(message[name]) for name in message if name not in ("Content-Type", "MIME-Version")} == {
        "From": "Garage Péeters <service@garage.example>",
        "To": "jan@mail.example",
        "Subject": "Uw auto ✓",
        "Date": "Mon, 21 Sep 2026 14:13:20 +0000",
        "Message-ID": "<dlv_1@garage.example>",
        "Reply-To": "team@garage.example",
        "Content-Language": "nl-BE",
        "Auto-Submitted": "auto-generated",
    }
    assert words(message, "plain") == f"Dag Jan,\n\nklaar! ✓\nStart check-in: {LINK.value}"
    html = words(message, "html")
    assert '<html lang="nl-BE">' in html
    assert "<p>Dag Jan,</p><p>klaar! ✓</p>" in html
    assert '<a href="https://garage.example/go/1?a=1&amp;b=2"' in html
    assert mail.content.isascii()
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


def test_text_is_not_html():
    html = words(read(mail_of(Rendered(text="<script>alert('x')</script> https://a.example/?x=1&y=2. Bye"))), "html")
    assert "<script>" not in html
    assert '<a href="https://a.example/?x=1&amp;y=2">https://a.example/?x=1&amp;y=2</a>. Bye' in html


def test_a_given_page_gets_the_button_that_it_lacks():
    page = "<html><body><p>Hi</p></body></html>"
    html = words(read(mail_of(Rendered(text="Hi", html=page, buttons=(LINK,)))), "html")
    assert html.startswith("<html><body><p>Hi</p><p><a href=")
    assert html.endswith("</a></p></body></html>")
    page = f"<a href='{LINK.value}'>Go</a>"
    assert words(read(mail_of(Rendered(text="Hi", html=page, buttons=(LINK,)))), "html") == page


def test_pictures_and_files_are_shown_or_linked():
    media = (Media("image", "https://g.example/1.jpg", "Dent"), Media("document", "https://g.example/bill.pdf", "Bill"))
    message = read(mail_of(Rendered(text="Look", media=media)))
    assert '<img src="https://g.example/1.jpg" alt="Dent"' in words(message, "html")
    assert '<a href="https://g.example/bill.pdf">Bill</a>' in words(message, "html")
    assert words(message, "plain") == "Look\nDent: https://g.example/1.jpg\nBill: https://g.example/bill.pdf"


def test_marketing_can_be_stopped_with_one_click():
    extras = {"unsubscribe": "https://b.example/stop/abc"}
    message = read(mail_of(Rendered(text="Offer"), purpose="marketing", extras=extras))
    assert message["List-Unsubscribe"] == (
        "<https://b.example/stop/abc>, <mailto:service@garage.example?subject=unsubscribe>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    "url", ["", "http://b.example/stop", "https://b.example/\r\nBcc: x@y.example", "https://b/>,<x"]
)
def test_without_a_secure_url_a_mail_stops_it(url: str):
    message = read(mail_of(Rendered(text="Offer"), purpose="marketing", extras={"unsubscribe": url}))
    assert message["List-Unsubscribe"] == "<mailto:service@garage.example?subject=unsubscribe>"
    assert message["List-Unsubscribe-Post"] is None
    assert message["Bcc"] is None


def test_what_isn_t_marketing_can_t_be_stopped_by_mail():
    assert read(mail_of(Rendered(text="Ready")))["List-Unsubscribe"] is None


@pytest.mark.parametrize(
    ("to", "wire"),
    [
        ("jan@mail.example", "jan@mail.example"),
        (" jan+car@mail.example ", "jan+car@mail.example"),
        ("o'neil@mail.example", "o'neil@mail.example"),
        ("jan@exämple.example", "jan@xn--exmple-cua.example"),
    ],
)
def test_addresses_as_people_have_them(to: str, wire: str):
    mail = mail_of(Rendered(text="x"), to=to)
    assert (mail.recipient, mail.utf8) == (wire, False)
    assert str(read(mail)["To"]) == wire


def test_letters_before_the_at_need_smtputf8():
    mail = mail_of(Rendered(text="x"), to="jürgen@mail.example")
    assert (mail.recipient, mail.utf8) == ("jürgen@mail.example", True)
    assert str(read(mail)["To"]) == "jürgen@mail.example"


@pytest.mark.parametrize(
    "to",
    [
        *("", "jan", "@", "jan@", "@mail.example", "a@b@c", "jan@mail..example", "jan@-mail.example", "a b@c.example"),
        *("jan@mail.example\nBcc: x@y.example", "jan@mail.example, x@y.example", "<jan@mail.example>"),
        *(
            '"jan"@mail.example',
            "jan@mail.example;x",
            "jan@mail.example\x00",
            "jan@" + "ä" * 200,
            "a" * 65 + "@b.example",
        ),
    ],
)
def test_an_address_that_is_none_is_refused(to: str):
    with pytest.raises(Refused):
        mail_of(Rendered(text="x"), to=to)


@settings(max_examples=150, deadline=None)
@given(some.text(max_size=80), some.text(max_size=80), some.text(max_size=20))
def test_no_word_adds_a_header(subject: str, name: str, locale: str):
    given = Settings(host="mx", from_address="service@garage.example", from_name=name + "\r\nBcc: x@y.example")
    mail = mail_of(Rendered(text="x", subject=subject + "\nX-Evil: 1", locale=locale + "\r\nX-Evil: 2"), given)
    message = email.message_from_bytes(mail.content, policy=policy.compat32)
    assert set(message.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID"),
        *("Content-Language", "Content-Type", "Auto-Submitted", "MIME-Version"),
    }
    assert len(message.keys()) == 9


def test_no_text_no_mail():
    for text in ("", "x" * 100_001):
        with pytest.raises(Unsupported):
            mail_of(Rendered(text=text))


@pytest.mark.parametrize(
    ("code", "said", "phase", "kind"),
    [
        (421, "4.3.2 bye", "connect", "unavailable"),
        (450, "4.2.1 greylisted", "rcpt", "unavailable"),
        (451, "4.3.0", "data", "unavailable"),
        (454, "4.7.0 temporary", "auth", "unavailable"),
        (530, "5.7.0 authentication required", "mail", "misconfigured"),
        (535, "5.7.8 bad credentials", "auth", "misconfigured"),
        (553, "5.7.1 sender not owned", "mail", "misconfigured"),
        (554, "5.7.1 blocked", "connect", "misconfigured"),
        (503, "5.5.1 bad sequence", "data", "misconfigured"),
        (550, "5.1.1 <jan@mail.example>: unknown", "rcpt", "refused"),
        (550, "5.7.1 spam", "data", "refused"),
        (552, "5.3.4 too big", "data", "unsupported"),
    ],
)
def test_what_an_answer_means(code: int, said: str, phase: str, kind: str):
    error: BeckonError = failure(code, said, phase)
    assert (error.kind, error.code) == (kind, f"smtp.{code}")
    assert "jan@" not in error.why
