"""What holds for every test: only loopback is reachable, and nothing that a test starts outlives it."""

import asyncio
import ipaddress
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
import uvloop

from tests.kit.processes import Process, adopt_orphans, descendants

# A test's tasks get this long to end by themselves, and processes after the last test.
TASK_GRACE_S = 120.0
PROCESS_GRACE_S = 120.0


class NetworkForbidden(Exception):
    """Tests reach loopback only; stand the other party up on 127.0.0.1 instead."""


_refused: list[str] = []
_before: set[int] = set()
_handed_in: list[str] = []
_leftovers_key = "beckon_leftovers"


def pytest_configure(config: pytest.Config) -> None:
    adopt_orphans()
    _before.update(process.pid for process in descendants())
    sys.addaudithook(_only_loopback)
    _guard_uvloop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails the test that reached out, also when its code took the refusal for an ordinary error."""
    try:
        return (yield)
    finally:
        refused, _refused[:] = list(_refused), []
        if refused:
            pytest.fail(f"{NetworkForbidden.__doc__} Refused: {', '.join(refused)}", pytrace=False)


@pytest.fixture(autouse=True)
async def _no_task_outlives_its_test() -> AsyncIterator[None]:
    """Fails a test that leaves a task running: all tests share one loop."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    left = {task for task in left if not _belongs_to_playwright(task)}
    if left:  # those that are just ending may end
        _, left = await asyncio.wait(left, timeout=TASK_GRACE_S)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert not left, f"these tasks outlive the test: {left}"


@pytest.fixture
def network_refusals() -> Iterator[list[str]]:
    """For a test about reaching out: the hosts that were refused so far, which then don't fail it."""
    yield _refused
    _refused.clear()


@pytest.hookimpl(wrapper=True, trylast=True)  # inside xdist, which sends what a worker hands in
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Ends what is still running after the last fixture, and says so with a failed session."""
    try:
        return (yield)
    finally:
        leftovers = [f"{process.pid} {process.command[:160]}" for process in _end_leftovers()]
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_leftovers_key] = leftovers
        elif leftovers or _handed_in:
            _report(session, _handed_in + leftovers)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """An xdist worker hands in what it had left running."""
    _handed_in.extend(getattr(node, "workeroutput", {}).get(_leftovers_key, []))


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: every socket that Python opens, whichever library asks."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple):
            _refuse_unless_loopback(str(address[0]))
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        _refuse_unless_loopback(host.decode() if isinstance(host, bytes) else host)
    elif event in ("socket.gethostbyname", "socket.gethostbyaddr"):
        _refuse_unless_loopback(str(arguments[0]))


def _refuse_unless_loopback(host: str | None) -> None:
    if not host or host == "localhost" or host.endswith(".localhost"):
        return
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        if address.is_loopback or address.is_unspecified:
            return
    _refused.append(host)
    raise NetworkForbidden(f"{NetworkForbidden.__doc__} Refused: {host}")


def _guard_uvloop() -> None:
    """uvloop resolves and connects in C, below Python's audit events; its doors are guarded by name."""

    def guarded(name: str, hosts: Callable[..., tuple[Any, ...]]) -> Any:
        original = getattr(uvloop.Loop, name)

        async def guard(self: uvloop.Loop, *arguments: Any, **options: Any) -> Any:
            for host in hosts(*arguments, **options):
                if isinstance(host, str):
                    _refuse_unless_loopback(host)
            return await original(self, *arguments, **options)

        return guard

    for name, hosts in {
        "create_connection": lambda _, host=None, *__, **___: (host,),
        "create_datagram_endpoint": lambda _, __=None, remote_addr=None, **___: (remote_addr or ())[:1],
        "getaddrinfo": lambda host, *_, **__: (host,),
        "sock_connect": lambda _, address: address[:1] if isinstance(address, tuple) else (),
    }.items():
        setattr(uvloop.Loop, name, guarded(name, hosts))


def _belongs_to_playwright(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "playwright" in code.co_filename


def _end_leftovers() -> list[Process]:
    deadline_s = time.monotonic() + PROCESS_GRACE_S
    while left := [process for process in descendants() if not _may_stay(process)]:
        if time.monotonic() > deadline_s:
            for process in left:
                os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    return left


def _may_stay(process: Process) -> bool:
    # multiprocessing's tracker ends with us by itself
    return process.pid in _before or "multiprocessing.resource_tracker" in process.command


def _report(session: pytest.Session, leftovers: list[str]) -> None:
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        reporter.write_line("These processes outlived the tests and were killed:", red=True, bold=True)
        for line in leftovers:
            reporter.write_line(f"  {line}", red=True)
