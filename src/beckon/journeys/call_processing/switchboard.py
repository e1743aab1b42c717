"""Switchboard: a workspace's own switch and its calls, opened and closed with the server.

A call is told when it begins, so that one whose server died is known at the next start: it ends there with a reason,
and with what was recorded of it. The switch's processes end when the server does, however it ends.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from beckon.core.errors import BeckonError, Misconfigured
from beckon.core.message import Outbound
from beckon.core.timers import parse_week
from beckon.journeys.call_processing.asked import finished_event, started_event
from beckon.journeys.call_processing.kept import decode, topic_of
from beckon.journeys.call_processing.running import open_calls
from beckon.journeys.call_processing.upkeep import forget_files
from beckon.journeys.call_processing.voice import CHANNEL, VoiceChannel, replies_of, said_of
from beckon.journeys.part import JourneyParts
from beckon.telephony.call import About, Call, CallRecord, Decision, Recording
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.questions import Dialect
from beckon.telephony.script import Script
from beckon.telephony.switch import RecordingEnded, Switch, SwitchEvent
from beckon.workspaces import Library

log = logging.getLogger("beckon.calls")

#: Calls of a server that died, told in one go.
_LOST_MAX = 1_000
_LOST = "the server ended during the call"
#: Beginnings that are being told, at the end of a server.
_TOLD_S = 5.0


def seats(parts: JourneyParts, dialects: Mapping[str, Dialect]) -> list["Switchboard"]:
    """A switchboard for each workspace."""
    return [Switchboard(parts, library, dialects) for library in parts.workspaces.all()]


class Switchboard:
    """One workspace's switch, its calls, and the messages that are calls."""

    def __init__(self, parts: JourneyParts, library: Library, dialects: Mapping[str, Dialect]) -> None:
        self._parts = parts
        self._library = library
        self._dialects = dialects
        # What the rows of recordings say must not hang on where the server was started.
        self.folder = (library.folder / "voice").absolute()
        self.calls: Calls | None = None
        self.switch: Switch | None = None
        self._telling: set[asyncio.Task[None]] = set()
        #: call → the message that it carries
        self._carrying: dict[str, Outbound] = {}
        #: recordings that the switch has mended after a crash
        self._mended: list[RecordingEnded] = []
        self._open = False

    # Beside the wheel -------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the switch, where there is one, and tell of the calls that a dead server left."""
        telephony = self._library.settings.telephony
        if len(telephony.switch) > 1:
            raise Misconfigured("switch.two", "a workspace has one switch", field="telephony.switch")
        if telephony.calling_hours:
            try:
                parse_week(telephony.calling_hours)
            except BeckonError as error:
                raise Misconfigured("telephony.hours", error.why, field="telephony.calling_hours") from error
        for name, fields in telephony.switch.items():
            self.calls = open_calls(
                self._parts,
                self._library,
                self._library.outside,
                self._dialects,
                self._finish,
                started=self._started,
                moved=self._moved,
            )
            self.switch = self._parts.switch(self._library.workspace, name, fields, self.folder, self._listen)
            self.calls.use(self.switch)
            await self.switch.start()
            self._open = True
            self._library.channels[CHANNEL] = VoiceChannel(self)
        await self._tell_lost()

    async def close(self, drain_s: float) -> None:
        """End all calls with a goodbye, then the switch."""
        if self.calls is not None:
            await self.calls.close(drain_s)
        if self.switch is not None:
            await self.switch.close()
        if self._telling:
            await asyncio.wait(self._telling, timeout=_TOLD_S)

    def wake(self) -> None:
        """The clock was dragged."""
        if self.calls is not None:
            self.calls.wake()

    async def tidy(self) -> bool:
        """Remove the files of recordings that have served their time."""
        days = self._library.settings.telephony.recordings_days
        recordings = self.folder / "recordings"
        return await forget_files(
            self._parts.reader, self._library.workspace, self._parts.clock.now_ms(), recordings, days
        )

    @property
    def quiet(self) -> bool:
        """No call has anything to do, and none is being told of."""
        return not self._telling and (self.calls is None or self.calls.quiet)

    # Calls ------------------------------------------------------------------------------------------------------------

    def _listen(self, event: SwitchEvent) -> None:
        assert self.calls is not None
        if isinstance(event, RecordingEnded) and not self._open:
            self._mended.append(event)
        else:
            self.calls.listen(event)

    def _started(self, call: Call) -> None:
        message = self._carrying.get(call.id)
        task = asyncio.ensure_future(self._tell_start(call, message.delivery_id if message is not None else ""))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _moved(self, call: Call) -> None:
        self._parts.hub.nudge(self._library.workspace, topic_of(call.id))

    async def _tell_start(self, call: Call, delivery: str) -> None:
        try:
            await self._parts.accept([started_event(self._library, call, delivery)])
        except BeckonError as error:
            log.warning("the beginning of a call could not be told: %s", error.code)

    async def _finish(self, record: CallRecord) -> None:
        message = self._carrying.get(record.id)
        if not record.contact:
            # Whose it is was settled when it began: they may have been forgotten meanwhile, and come back by no number.
            rows = await self._parts.reader.fetch("SELECT contact FROM calls WHERE id = ?", (record.id,))
            if rows and rows[0][0]:
                record = msgspec.structs.replace(record, contact=str(rows[0][0]))
        events = [finished_event(self._library, record, message.delivery_id if message is not None else "")]
        if message is not None:
            events += said_of(record, replies_of(message), message.delivery_id)
        await self._parts.settle(events)
        self._carrying.pop(record.id, None)

    async def _tell_lost(self) -> None:
        """The calls that were under way when the last server died."""
        rows = await self._parts.reader.fetch(
            "SELECT body, contact FROM calls WHERE workspace = ? AND ended_ms = 0 ORDER BY id LIMIT ?",
            (self._library.workspace, _LOST_MAX),
        )
        events = []
        for body, contact in rows:
            kept = decode(str(body))
            record = lost(kept.record, self._parts.clock.now_ms(), await asyncio.to_thread(self._left_of, kept.record))
            record = msgspec.structs.replace(record, contact=str(contact))
            events.append(finished_event(self._library, record, kept.delivery))
            if kept.delivery:
                events += said_of(record, (), kept.delivery)
        if events:
            log.warning("%d calls were under way when the server ended", len(rows))
            await self._parts.accept(events)

    def _left_of(self, record: CallRecord) -> list[tuple[Path, float]]:
        """The recordings of a call that a dead server left: whole files, and those that the switch has mended."""
        mended = {one.recording: one for one in self._mended}
        found = []
        for path in sorted((self.folder / "recordings").glob(f"{record.id}-*.wav"))[:20]:
            known = mended.get(path.stem)
            found.append((path, known.seconds if known is not None else 0.0))
        return found

    # Messages that are calls ------------------------------------------------------------------------------------------

    @property
    def time_zone(self) -> str:
        """The workspace's."""
        return self._library.settings.time_zone

    @property
    def hours(self) -> str:
        """When people may be called."""
        return self._library.settings.telephony.calling_hours

    @property
    def confirm(self) -> Mapping[str, str]:
        """The workspace's own words."""
        return self._library.settings.telephony.confirm

    @property
    def full(self) -> bool:
        """No further call can be made now."""
        assert self.calls is not None
        return len(self.calls.under_way) >= self._library.settings.telephony.calls_max

    def live(self, call: str) -> Call | None:
        """A call as it stands now."""
        assert self.calls is not None
        return next((one for one in self.calls.under_way if one.id == call), None)

    async def call(self, script: Script, about: About, message: Outbound) -> str:
        """Call somebody with a message."""
        assert self.calls is not None
        for id_, carried in self._carrying.items():
            if carried.delivery_id == message.delivery_id and carried.attempt != message.attempt:
                return id_  # the same message is being said already
        about = msgspec.structs.replace(about, time_zone=self.time_zone)
        chosen = Chosen(workspace=self._library.workspace, script=script, about=about)
        id_ = await self.calls.call_out(chosen, message.to, self._library.settings.telephony.caller_id)
        self._carrying[id_] = message
        return id_


def lost(record: CallRecord, now_ms: int, recordings: list[tuple[Path, float]]) -> CallRecord:
    """The record of a call whose server died."""
    return msgspec.structs.replace(
        record,
        ended_ms=now_ms,
        outcome="failed",
        why=_LOST,
        decisions=(*record.decisions, Decision("", now_ms, "the call ended", _LOST)),
        recordings=tuple(
            Recording(
                id=path.stem, what="call", began_ms=record.started_ms, open=False, path=str(path), seconds=seconds,
                why=_LOST,
            )
            for path, seconds in recordings
        ),
    )  # fmt: skip
