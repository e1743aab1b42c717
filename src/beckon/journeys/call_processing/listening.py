"""Listening: who may hear a recording, how it is sent, and that somebody did."""

import asyncio
from pathlib import Path

from starlette.responses import FileResponse, Response

from beckon.core.errors import Refused
from beckon.core.event import Event
from beckon.journeys.call_processing.peaks import peaks_of
from beckon.journeys.part import JourneyParts, Visit

_HOUR_MS = 3_600_000
#: Made at once: a long recording takes a core for a moment.
_MAKING = asyncio.Semaphore(1)
_HEADERS = {"Cache-Control": "private, max-age=300", "X-Content-Type-Options": "nosniff"}


def may_listen(parts: JourneyParts, visit: Visit) -> bool:
    """Owners, and the roles that the settings name."""
    library = parts.workspaces.get(visit.workspace)
    role = visit.session.person.role
    return role == "owner" or (library is not None and role in library.settings.telephony.listeners)


class Listening:
    """The routes of a recording."""

    def __init__(self, parts: JourneyParts) -> None:
        self._parts = parts

    async def audio(self, visit: Visit) -> Response:
        """The recording, or the part of it that the player asks for. That somebody listens is noted first."""
        call, path = await self._found(visit)
        if visit.request.method == "GET" and visit.request.headers.get("range", "bytes=0-").startswith("bytes=0-"):
            await self._note(visit, call)
        return FileResponse(path, media_type="audio/wav", headers=_HEADERS)

    async def peaks(self, visit: Visit) -> Response:
        """What the waveform is drawn from."""
        _call, path = await self._found(visit)
        async with _MAKING:
            made = await asyncio.to_thread(peaks_of, path)
        return Response(made, media_type="application/json", headers=_HEADERS)

    async def _found(self, visit: Visit) -> tuple[str, Path]:
        if not may_listen(self._parts, visit):
            raise Refused("recording.forbidden", "Your role may not listen to recordings.")
        rows = await visit.reader.fetch(
            "SELECT path FROM recordings WHERE id = ? AND workspace = ? AND call = ? AND keep_until_ms > ?",
            (visit.path("recording"), visit.workspace, visit.path("call"), visit.now_ms),
        )
        path = Path(str(rows[0][0])) if rows else None
        if path is None or not await asyncio.to_thread(path.is_file):
            raise Refused("recording.gone", "This recording is not here any more.")
        return visit.path("call"), path

    async def _note(self, visit: Visit, call: str) -> None:
        """Once an hour for each person: a player asks for the beginning again and again."""
        person, recording = visit.session.person.id, visit.path("recording")
        await visit.say(
            Event(
                workspace=visit.workspace,
                source="console",
                id=f"listened-{recording}-{person}-{visit.now_ms // _HOUR_MS}",
                type="call.listened",
                time_ms=visit.now_ms,
                data={"call": call, "recording": recording, "by": person},
            )
        )
