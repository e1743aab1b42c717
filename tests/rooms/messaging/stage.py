"""What the messaging tests share: a contact, channels as the providers have them, a template, and settings."""

from beckon.core.contact import Contact
from beckon.core.delivery import Choice
from beckon.messaging.channel import Capabilities
from beckon.messaging.choose import Open
from beckon.messaging.contacts import merge, read_reference
from beckon.messaging.templates import Template, parse_template
from beckon.settings import WorkspaceSettings

HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000

OEM = Capabilities(text_max=4_000, link_buttons=3, reply_buttons=3, media=("image",), receipts=("delivered", "read"))
WHATSAPP = Capabilities(
    text_max=4_096, link_buttons=1, reply_buttons=3, media=("image",), templates=True, session_window_s=86_400
)
SMS = Capabilities(text_max=1_530)
EMAIL = Capabilities(text_max=200_000, link_buttons=10, html=True, media=("image",))

CHANNELS = {
    "oem_app": Open("oem_app", OEM),
    "whatsapp": Open("whatsapp_cloud", WHATSAPP),
    "sms": Open("twilio_sms", SMS),
    "email": Open("smtp", EMAIL),
}
ORDER = ("oem_app", "whatsapp", "sms", "email")

SETTINGS = WorkspaceSettings(name="Garage Van Dijk", values={"checkin_url": "https://check-in.example/c"})

INVITE = """
template: checkin_invite
variables:
  slug: { required: true, example: 8Fh2kQ }
locales:
  en:
    subject: "Check in, {{ contact.first_name }}"
    text: "Hello {{ contact.first_name | default: 'there' }}, your visit to {{ settings.name }} is coming up."
    buttons:
      - { text: Start check-in, link: "{{ settings.checkin_url }}/{{ slug }}" }
  nl-BE:
    text: "Dag {{ contact.first_name | default: 'beste klant' }}, binnenkort komt u langs bij {{ settings.name }}."
    buttons:
      - { text: Check-in starten, link: "{{ settings.checkin_url }}/{{ slug }}" }
    channels:
      sms: { text: "{{ settings.name }}: check nu in." }
channels:
  whatsapp:
    approved: { name: service_checkin_invite, languages: { en: en_US, nl-BE: nl } }
"""

READY = """
template: car_ready
variables:
  plate: { example: 1-ABC-123 }
locales:
  en: { text: "Hello {{ contact.first_name }}, your car {{ plate }} is ready to be collected." }
  fr: { text: "Bonjour {{ contact.first_name }}, votre voiture {{ plate }} est prête." }
channels:
  whatsapp:
    approved: { name: car_ready, languages: { en: en_US, fr: fr } }
"""


def template_of(text: str = INVITE) -> Template:
    """A template from its YAML."""
    return parse_template(text)


def contact_of(**facts: object) -> Contact:
    """A contact with these facts, as an event would name one; Ann with a phone and a mailbox without any."""
    reference = facts or {"name": "Ann Peeters", "phone": "+32470123456", "email": "ann@example.com"}
    return merge(Contact(id="con_ann", workspace="main"), read_reference(reference, region="BE"), NOW_MS)


def chosen(channel: str, template: str = "") -> Choice:
    """A choice that was made."""
    return Choice(channel, CHANNELS[channel].provider, "first in the order", (), template)


def short(url: str) -> str:
    """A link as the web would shorten it."""
    return f"https://beckon.example/go/{len(url):04d}"
