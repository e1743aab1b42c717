"""A whole database as texts, to be searched: every table, every column; and files as they lie on the disk."""

from collections.abc import Iterable
from pathlib import Path

from beckon.store.database import Database
from beckon.store.tables import ALL


async def found_in(database: Database, words: Iterable[str]) -> list[str]:
    """Where any of these words stands, in any case: ``table: word: the row``."""
    wanted = [word.lower() for word in words]
    found = []
    for table in ALL:
        for row in await database.fetch(f"SELECT * FROM {table.name}"):
            text = " | ".join(map(str, row)).lower()
            found += [f"{table.name}: {word}: {text[:600]}" for word in wanted if word in text]
    return found


def found_on_disk(folder: Path, words: Iterable[str]) -> list[str]:
    """The files below a folder that hold any of these words, as bytes or in their names."""
    wanted = [word.encode() for word in words]
    found = []
    for path in sorted(folder.rglob("*")):
        text = (path.read_bytes() if path.is_file() else b"") + str(path.relative_to(folder)).encode()
        found += [f"{path.relative_to(folder)}: {word.decode()}" for word in wanted if word in text]
    return found
