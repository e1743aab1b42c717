"""SQLite: one writer thread with WAL and synchronous FULL, a few readers, and one connection on the loop itself.

A hop to a thread and back costs a hundred microseconds and two hand-overs of the interpreter's lock, a look-up by key a
few: so quick reads are done where they are asked, and only what may take long goes to a thread. The writer gets
statements that are ready to run: between its calls into SQLite, which need no lock, it has next to nothing to do.
"""

import asyncio
import fcntl
import logging
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from beckon.core.errors import BeckonError, Misconfigured, Refused, Unavailable
from beckon.store.changes import Changes, Row, Statement
from beckon.store.database import Query

log = logging.getLogger("beckon.store")

_READERS = 2
#: So long after a write the log goes into the main file, beside the writer: 64 MiB of it would hold up a commit, and
#: all who wait for it, a tenth of a second.
_CHECKPOINT_S = 1.0
#: Pages in the log past which the writer does it itself: 64,000 × 4 KiB = 250 MiB.
_CHECKPOINT_PAGES = 64_000
#: How long a write waits for another process's lock, and how long the emptying of the log for a reader.
_BUSY_MS = 30_000
_SCRUB_BUSY_MS = 250


class SqliteEngine:
    """A file. ``exclusive`` holds a lock beside it, so that two servers can't turn one line."""

    def __init__(self, path: str, *, exclusive: bool = False) -> None:
        self.path = path
        self.exclusive = exclusive
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-reader")
        self._checkpointer = ThreadPoolExecutor(1, "sqlite-checkpoint")
        self._checkpoint: asyncio.TimerHandle | None = None
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock: IO[str] | None = None

    async def open(self) -> None:
        if self.exclusive:
            self._lock = _locked(self.path)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._connection)

    async def close(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.cancel()
        self._checkpointer.shutdown()
        self._readers.shutdown()
        await asyncio.get_running_loop().run_in_executor(self._writer, self._close_all)
        self._writer.shutdown()
        if self._lock is not None:
            self._lock.close()

    async def fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._fetch, queries)

    async def look_up(self, queries: Sequence[Query]) -> list[list[Row]]:
        return self._fetch(queries)

    async def write(self, batch: Sequence[Changes]) -> list[int]:
        statements = [list(changes.statements()) for changes in batch]
        loop = asyncio.get_running_loop()
        if self._checkpoint is None:
            self._checkpoint = loop.call_later(_CHECKPOINT_S, self._begin_checkpoint)
        return await loop.run_in_executor(self._writer, self._write, statements)

    def _begin_checkpoint(self) -> None:
        self._checkpoint = None
        self._checkpointer.submit(self._bring_in)

    async def script(self, sql: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._script, sql)

    async def scrub(self) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._scrub)

    # Below: in a thread of the executors, or for a look-up on the loop's; each has a connection of its own.

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            try:
                connection = sqlite3.connect(
                    self.path,
                    isolation_level=None,
                    cached_statements=512,
                    check_same_thread=False,
                    timeout=_BUSY_MS / 1000,
                )
                connection.execute("PRAGMA journal_mode=WAL")
            except sqlite3.Error as error:
                raise Misconfigured("store.unreachable", f"SQLite can't open {self.path}: {error}") from error
            connection.execute("PRAGMA synchronous=FULL")
            # What is removed is overwritten: a person who is forgotten must not be found in the file.
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA cache_size=-32768")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    def _close_all(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _fetch(self, queries: Sequence[Query]) -> list[list[Row]]:
        connection = self._connection()
        try:
            return [connection.execute(sql, parameters).fetchall() for sql, parameters in queries]
        except (sqlite3.Error, *_UNFIT) as error:
            raise _named(error) from error

    def _write(self, batch: Sequence[Sequence[Statement]]) -> list[int]:
        connection = self._connection()
        counts = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statements in batch:
                count = 0
                for sql, parameters, counted in statements:
                    cursor = connection.execute(sql, parameters)
                    if counted:
                        count += cursor.rowcount
                counts.append(count)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, (sqlite3.Error, *_UNFIT)):
                raise _named(error) from error
            raise
        return counts

    def _bring_in(self) -> None:
        """Copy the log into the file as far as nobody minds; what is written meanwhile stays for the next time."""
        try:
            self._connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (BeckonError, sqlite3.Error) as error:
            # It stays in the log, where it is durable too; the writer says so when it can't write either.
            log.warning("the log was not brought into the file: %s", error)

    def _scrub(self) -> bool:
        """Bring the log into the file and cut it off: it holds pages as they were."""
        connection = self._connection()
        try:
            connection.execute(f"PRAGMA busy_timeout={_SCRUB_BUSY_MS}")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        except sqlite3.Error as error:
            raise _named(error) from error
        return not busy

    def _script(self, sql: str) -> None:
        connection = self._connection()
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nCOMMIT;")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise Misconfigured("store.migration", f"a migration failed: {error}") from error


#: What a value does that no column can hold: too large a number, half of a surrogate pair, a text without end.
_UNFIT = (
    OverflowError, UnicodeError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
    sqlite3.NotSupportedError,
)  # fmt: skip


def _named(error: Exception) -> BeckonError:
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return Refused("store.conflict", f"the row is there already: {text}")
    if isinstance(error, _UNFIT):
        return Refused("store.value", f"a value can't be stored: {type(error).__name__}")
    if "full" in text:
        return Unavailable("store.full", "the disk is full: nothing was written", retry_after_s=30)
    return Unavailable("store.unavailable", f"SQLite: {text}", retry_after_s=1)


def _locked(path: str) -> IO[str]:
    lock = Path(path + ".lock").open("w")  # noqa: SIM115 - held until the engine closes
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Misconfigured("store.in_use", f"another server has {path} open: one server turns one line") from error
    return lock
