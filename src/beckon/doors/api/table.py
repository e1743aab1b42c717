"""The table of everything that the API does: its routes and its OpenAPI document are made from it."""

from beckon.doors.api import contacts, conversations, definitions, deliveries, health, journal, messages, records, runs
from beckon.doors.api.parts import Operation

#: Described in ``openapi_events``; answered by ``events.EventsDoor``.
POST_EVENTS = Operation(
    method="POST",
    path="/v1/events",
    name="post_events",
    tag="Events",
    summary="Say what happened: one event or a batch",
    scope="events",
    act=None,
    answer=None,
    status=202,
    refusals=(404, 409),
)

OPERATIONS: tuple[Operation, ...] = (
    POST_EVENTS,
    *journal.OPERATIONS,
    *contacts.OPERATIONS,
    *conversations.OPERATIONS,
    *messages.OPERATIONS,
    *deliveries.OPERATIONS,
    *runs.OPERATIONS,
    *records.OPERATIONS,
    *definitions.OPERATIONS,
    *health.OPERATIONS,
)
