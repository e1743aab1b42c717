"""``beckon loyalty import``: the file, the progress bar, the error file, and how to go on where it stopped."""

import asyncio
import csv
import io
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from beckon.journeys.loyalty_offers.importing.rows import LINE_BYTES_MAX, OF_ERRORS, FileProblem, Rows, WrongRow
from beckon.journeys.loyalty_offers.importing.sending import Done, Sending, Stopped
from beckon.outbox.connections import PooledConnections

#: Rows that could not be taken, before we think that the whole file is wrong.
WRONG_MAX = 100_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command was told."""

    file: Path
    url: str
    key: str
    errors: Path
    from_line: int = 2
    in_flight: int = 2
    batch: int = 100


class ErrorFile:
    """The rows that were not taken: their line, code and why, and then the row, to be mended and imported again."""

    def __init__(self, path: Path, rows: Rows, *, append: bool) -> None:
        self._path = path
        self._rows = rows
        self._append = append and path.exists()
        self._file: io.TextIOWrapper | None = None

    def add(self, row: WrongRow) -> None:
        """Write one row down; the file is there from the first one on."""
        if self._file is None:
            self._file = self._path.open("a" if self._append else "w", encoding="utf-8", newline="")
            if not self._append:
                csv.writer(self._file).writerow([*OF_ERRORS, *(self._rows.header[at] for at in self._rows.own_places)])
        own = [row.values[at] for at in self._rows.own_places if at < len(row.values)]
        csv.writer(self._file).writerow([row.line, row.code, row.why, *own])
        self._file.flush()

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines; one that is too long is cut a byte past its limit, so that memory has an end."""
    while line := file.readline(LINE_BYTES_MAX + 2):
        yield line


def import_members(asked: Asked) -> int:
    """Import the file; the command's exit status: 0 all taken, 1 some rows were not, 2 it could not go on."""
    if not asked.errors.parent.is_dir():
        click.echo(f"beckon: there is no folder {asked.errors.parent} for the error file", err=True)
        return 2
    started = time.monotonic()
    done = Done(next_line=asked.from_line)
    trouble = ""
    with asked.file.open("rb") as file:
        try:
            rows = Rows(lines_of(file))
        except FileProblem as problem:
            click.echo(f"beckon: {asked.file}, {problem}", err=True)
            return 2
        with (
            closing(ErrorFile(asked.errors, rows, append=asked.from_line > 2)) as errors,
            click.progressbar(
                length=max(1, asked.file.stat().st_size), label="Importing", item_show_func=_shown(started)
            ) as bar,
        ):
            shown = 0

            def on_done(now: Done) -> None:
                nonlocal done, shown
                done = now
                bar.update(now.bytes - shown, now)
                shown = now.bytes

            def on_wrong(row: WrongRow) -> None:
                errors.add(row)
                if done.wrong > WRONG_MAX:
                    raise Stopped(f"more than {WRONG_MAX} rows were not taken: is it the right file?")

            try:
                asyncio.run(_run(asked, rows, on_wrong, on_done))
            except (FileProblem, Stopped) as problem:
                trouble = str(problem)
            except (KeyboardInterrupt, asyncio.CancelledError):
                trouble = "interrupted"
    _report(asked, done, time.monotonic() - started, trouble)
    return 2 if trouble else 1 if done.wrong else 0


async def _run(asked: Asked, rows: Rows, on_wrong: Callable[[WrongRow], None], on_done: Callable[[Done], None]) -> None:
    connections = PooledConnections()
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # a container stops us by SIGTERM: say where to go on
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await Sending(
            connections, asked.url, asked.key,
            in_flight=asked.in_flight, batch=asked.batch, on_wrong=on_wrong, on_done=on_done,
        ).run(rows, asked.from_line)  # fmt: skip
    finally:
        await connections.close()


def _shown(started: float) -> Callable[[Done | None], str | None]:
    def show(done: Done | None) -> str | None:
        if done is None:
            return None
        rate = done.rows / max(0.001, time.monotonic() - started)
        return f"{done.rows:,} rows, {rate:,.0f}/s, {done.wrong:,} not taken"

    return show


def _report(asked: Asked, done: Done, seconds: float, trouble: str) -> None:
    rate = done.rows / max(0.001, seconds)
    click.echo(
        f"{done.rows:,} rows in {seconds:,.1f} s ({rate:,.0f}/s): {done.new:,} new, {done.known:,} known already,"
        f" {done.wrong:,} not taken" + (f", waited {done.waited_s:,.0f} s for the server" if done.waited_s else "")
    )
    if done.wrong:
        click.echo(f"What was not taken, and why: {asked.errors}")
    if trouble:
        click.echo(f"beckon: stopped: {trouble}", err=True)
        click.echo(f"Go on with: --from-line {done.next_line}", err=True)
