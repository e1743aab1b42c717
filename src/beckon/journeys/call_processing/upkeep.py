"""Upkeep: recordings that have served their time go: the file first, then its row, so that none is left behind."""

import asyncio
from pathlib import Path

from beckon.store.changes import Changes
from beckon.store.database import Database
from beckon.store.tables import RECORDINGS

#: Recordings in one round.
PAGE = 200
#: Files without a row (a server that died before it told of their call) stay so much longer, in days.
_UNKNOWN_DAYS = 1
_DAY_MS = 86_400_000


async def forget_files(database: Database, workspace: str, now_ms: int, folder: Path, days: int) -> bool:
    """One round; whether there was much to forget."""
    rows = await database.fetch(
        "SELECT id, path FROM recordings WHERE workspace = ? AND keep_until_ms <= ? ORDER BY keep_until_ms LIMIT ?",
        (workspace, now_ms, PAGE),
    )
    gone = await asyncio.to_thread(unlinked, [(str(id_), Path(str(path))) for id_, path in rows])
    if gone:
        changes = Changes()
        for id_ in gone:
            changes.delete(RECORDINGS, (id_,))
        await database.commit(changes)
    if days:
        await asyncio.to_thread(_forget_old, folder, now_ms - (days + _UNKNOWN_DAYS) * _DAY_MS)
    return len(rows) == PAGE


def peaks_beside(path: Path) -> Path:
    """Where a recording's peaks are kept."""
    return path.with_suffix(".peaks")


def unlinked(recordings: list[tuple[str, Path]]) -> list[str]:
    """The recordings whose files are gone now; one whose file can't be removed is tried again in the next round."""
    gone = []
    for id_, path in recordings:
        try:
            peaks_beside(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError:
            continue
        gone.append(id_)
    return gone


def _forget_old(folder: Path, before_ms: int) -> None:
    for number, path in enumerate(folder.glob("*")):
        if number >= 10_000:
            return
        try:
            if path.stat().st_mtime * 1_000 < before_ms and path.suffix in (".wav", ".peaks"):
                path.unlink(missing_ok=True)
        except OSError:
            continue
