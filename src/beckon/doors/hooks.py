"""``/hooks/{workspace}/{provider}``: a provider's webhook, raw; the provider's folder verifies and reads it.

A switch that asks for its instructions has its webhooks here too: it answers them itself.
"""

import logging
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from beckon.core.clock import Clock
from beckon.core.errors import BeckonError, Refused
from beckon.intake.accept import Intake
from beckon.messaging.channel import Provider, WebhookReply, WebhookRequest
from beckon.telephony.switch import Asking
from beckon.web.bodies import read_body
from beckon.web.problems import problem

log = logging.getLogger("beckon.hooks")

#: Meta sends up to 3 MB; nobody sends more.
_SIZE_BYTES_MAX = 4 * 1024 * 1024


class Hook:
    """One workspace's account with one provider, as webhooks find it."""

    def __init__(self, provider: Provider, settings: object) -> None:
        self.provider = provider
        self.settings = settings


def routes(
    hooks: dict[tuple[str, str], Hook],
    intake: Intake,
    clock: Clock,
    address: str,
    switches: Mapping[tuple[str, str], Asking] | None = None,
) -> list[Route]:
    """The route of all webhooks. ``hooks``: (workspace, provider) → account; ``switches``: the same for switches."""

    async def receive(request: Request) -> Response:
        workspace, name = request.path_params["workspace"], request.path_params["provider"]
        switch = (switches or {}).get((workspace, name))
        hook = hooks.get((workspace, name))
        try:
            if switch is not None:
                return await _asked(switch, await _read(request, address))
            if hook is None or hook.provider.read_webhook is None:
                return problem(Refused("hook.unknown", "no such webhook is set up here"))
            read = await _read(request, address)
            reply: WebhookReply = hook.provider.read_webhook(read, hook.settings, workspace, clock.now_ms())
            if reply.events:
                await intake.accept(reply.events)
        except BeckonError as error:
            # No body, no number, no name: only what kind of thing was wrong.
            log.warning("a webhook of %s was not taken: %s", name, error.code)
            return problem(error)
        return Response(reply.body, reply.status, media_type=reply.content_type)

    return [Route("/hooks/{workspace}/{provider}", receive, methods=["GET", "POST"])]


async def _asked(switch: Asking, request: WebhookRequest) -> Response:
    reply = await switch.asked(request)
    return Response(reply.body, reply.status, headers={"cache-control": "no-store", **reply.headers})


async def _read(request: Request, address: str) -> WebhookRequest:
    query = str(request.url.query)
    return WebhookRequest(
        method=request.method,
        # As the provider knows it: proxies may have changed host and scheme on the way.
        url=f"{address}{request.url.path}" + (f"?{query}" if query else ""),
        query=dict(request.query_params),
        headers={key.lower(): value for key, value in request.headers.items()},
        body=await read_body(request.receive, _SIZE_BYTES_MAX),
    )
