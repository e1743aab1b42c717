"""What the built-in switch can do, as data. Pure."""

from beckon.telephony.switch import Capabilities

CAPABILITIES = Capabilities(
    prompts=frozenset({"say", "file", "tone", "silence"}),
    keys=frozenset({"rfc4733", "info", "inband"}),
    early_media=True,
    ringback=True,
    hold=True,
    recording="stereo",
    send_digits=True,
)
