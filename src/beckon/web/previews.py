"""Link previews: messengers and mail scanners fetch a link before a person taps it. They don't count as
people."""

import re
from collections.abc import Mapping

_MACHINES = re.compile(
    r"""^(WhatsApp/ | TelegramBot | Viber/ | Signal | curl/ | Wget | python- | Go-http-client)
    | facebookexternalhit | Facebot | Twitterbot | Slackbot | Slack-ImgProxy | Discordbot | LinkedInBot
    | SkypeUriPreview | MicrosoftPreview | BingPreview | Applebot | Googlebot | Google-PageRenderer
    | GoogleMessages | Google-Safety | bingbot | Pinterestbot | redditbot | Mattermost-Bot | Iframely
    | Embedly | HeadlessPreview | \bcrawler\b | \bspider\b | \b[a-z-]*bot[/;) ]
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_preview(method: str, headers: Mapping[str, str]) -> bool:
    """Whether this request was made by a machine or ahead of time, so that it is no click of the contact.

    A missing user agent counts as a machine: every browser sends one.
    """
    if method == "HEAD":
        return True
    ahead = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    if "prefetch" in ahead or "preview" in ahead:
        return True
    agent = headers.get("user-agent", "")
    return not agent or _MACHINES.search(agent[:512]) is not None
