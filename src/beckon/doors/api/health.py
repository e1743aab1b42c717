"""``/v1/health``: how the line stands for a workspace."""

from beckon.doors.api.parts import Ask, Operation
from beckon.doors.api.shapes import HealthShown

#: Events that the wheel may be behind, and all is well.
_BEHIND_MAX = 5_000


async def read_health(ask: Ask[None, None]) -> HealthShown:
    """How the line stands."""
    library, health = ask.library, ask.parts.health(ask.workspace)
    behind = max(0, health.position - health.turned)
    return HealthShown(
        ok=behind <= _BEHIND_MAX and not health.paused,
        version=health.version,
        workspace=ask.workspace,
        store=health.store,
        position=health.position,
        behind=behind,
        waiting=health.waiting,
        paused=health.paused,
        channels=[name for name in library.settings.channels if name in library.channels],
        flows=len(library.flows),
        templates=len(library.templates),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/health",
        name="read_health",
        tag="Health",
        summary="How the line stands: what waits, which providers are left alone and why",
        scope="read",
        act=read_health,
        answer=HealthShown,
    ),
)
