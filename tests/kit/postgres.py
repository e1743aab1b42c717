"""A real PostgreSQL, private to the tests: its own folder, its own port, gone when they are."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.kit.processes import dies_with_parent

START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 300
PORT_TRIES_MAX = 5
_PREFIX = "beckon-pg-"
_USER = "beckon"


class PostgresServer:
    """One PostgreSQL cluster on loopback. It listens on the same port each time it is started."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self.folder = folder
        self.fsync = fsync
        self.port = 0
        self._binaries = _binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        # PostgreSQL refuses to run as root.
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        if self._account:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "--pgdata", str(self._data), "--username", _USER, "--auth", "trust", *_INITDB)

    def start(self) -> None:
        """Starts the server and waits until it accepts connections."""
        for _ in range(PORT_TRIES_MAX if not self.port else 1):
            port = self.port or _free_port()
            if self._started_on(port):
                self.port = port
                return
        raise RuntimeError(f"PostgreSQL does not start:\n{self.log()[-4000:]}")

    def stop(self) -> None:
        """Stops the server at once (clients are cut off), in good order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kills the server as a crash would; the next start recovers."""
        self._end(signal.SIGQUIT)

    def url(self, database: str = "postgres") -> str:
        """Where a database is."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Makes an empty database and says its name."""
        name = f"test_{next(self._numbers)}"
        # Copying its files takes a third of the time that copying it through the log does.
        strategy = "STRATEGY FILE_COPY" if float(self._binaries.parent.name) >= 15 else ""
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 {strategy}")
        return name

    def drop_database(self, name: str) -> None:
        """Drops a database, whoever is still connected."""
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Runs a statement from outside and gives psql's bare answer."""
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
        return self._run("psql", *options, "--dbname", self.url(database), "--command", statement).strip()

    def log(self) -> str:
        """What the server has said."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _started_on(self, port: int) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self.fsync else "off",
            "full_page_writes": "on" if self.fsync else "off",
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", str(self._data), *options],
                cwd=self.folder,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # SIGQUIT: were the tests killed, the server ends at once, and its children with it.
                preexec_fn=dies_with_parent(signal.SIGQUIT),
                **self._as_account(),
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                self._process = None
                return False
            if self._is_ready():
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _is_ready(self) -> bool:
        """The eighth line of its pid file is its state."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return (
            self._process is not None
            and len(lines) >= 8
            and lines[0] == str(self._process.pid)
            and lines[7].strip() == "ready"
        )

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self.folder,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._as_account(),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}\n{self.log()[-2000:]}")
        return done.stdout

    def _as_account(self) -> dict[str, object]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_INITDB = ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """A running server that is stopped and removed whatever happens."""
    _sweep()
    # Not under pytest's own folder: only its owner may enter that, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        server = PostgresServer(folder, fsync=fsync)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres-fsync",
        action="store_true",
        help="the tests' PostgreSQL waits for the disk",
    )


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """The session's PostgreSQL (under xdist: one for each worker)."""
    with running_postgres(fsync=bool(pytestconfig.getoption("--postgres-fsync"))) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def private_postgres() -> Iterator[PostgresServer]:
    """A durable server for one test: ``stop()``, ``kill()`` and ``start()`` it as the test likes."""
    with running_postgres(fsync=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'beckon.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise RuntimeError("there is no PostgreSQL in /usr/lib/postgresql; `make test` installs it")
    return found[-1].parent


def _unprivileged_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _sweep() -> None:
    """Removes the folders of sessions that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
