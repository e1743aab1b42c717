"""Migrations: numbered SQL files, each applied once, in order, in a transaction of its own."""

from importlib.resources import files

from beckon.core.errors import Misconfigured
from beckon.store.database import Database

_WORDS = {
    "sqlite": {"{rowid}": "INTEGER PRIMARY KEY", "{keyed}": "WITHOUT ROWID"},
    "postgresql": {"{rowid}": "BIGINT PRIMARY KEY", "{keyed}": ""},
}

_NOTED = (
    "INSERT INTO marks (name, value) VALUES ('migration', {number})"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
)


def texts(dialect: str) -> list[tuple[int, str, str]]:
    """(number, name, SQL in this dialect) of every migration, in order."""
    found = []
    for file in files("beckon.store").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            sql = file.read_text(encoding="utf-8")
            for word, meaning in _WORDS[dialect].items():
                sql = sql.replace(word, meaning)
            found.append((int(file.name.split("_", 1)[0]), file.name, sql))
    return sorted(found)


async def migrate(database: Database) -> list[str]:
    """Bring an open database to the newest shape; the names of the files that were applied.

    Raises ``Misconfigured`` when the database is newer than this program.
    """
    known = texts(database.dialect)
    at = await _applied(database)
    if known and at > known[-1][0]:
        raise Misconfigured(
            "store.newer", f"the database is at migration {at}, this program knows {known[-1][0]}: upgrade the program"
        )
    done = []
    for number, name, sql in known:
        if number > at:
            # Its number is noted in the same transaction: a crash in between leaves both or neither.
            await database.engine.script(f"{sql}\n{_NOTED.format(number=number)}")
            done.append(name)
    return done


async def _applied(database: Database) -> int:
    if database.dialect == "sqlite":
        sql = "SELECT count(*) FROM sqlite_master WHERE name = 'marks'"
    else:
        sql = "SELECT count(*) FROM pg_tables WHERE tablename = 'marks' AND schemaname = current_schema()"
    if (await database.fetch(sql))[0][0] == 0:
        return 0
    rows = await database.fetch("SELECT value FROM marks WHERE name = 'migration'")
    return int(rows[0][0] or 0) if rows else 0
