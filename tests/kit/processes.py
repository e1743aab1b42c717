"""Child processes that can't be forgotten, and a look at which there are."""

import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Process:
    """A running process, as /proc tells."""

    pid: int
    parent: int
    state: str
    command: str


def dies_with_parent(death: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A ``preexec_fn``: the child gets this signal when its parent is gone, even by kill -9."""
    parent = os.getpid()

    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:  # it went before we asked
            os._exit(1)

    return arrange


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants' orphans, so that none gets out of sight."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[Process]:
    """The running children of this process, their children, and so on. Zombies don't run."""
    processes = {process.pid: process for process in _all_processes()}
    ours: dict[int, bool] = {os.getpid(): True}

    def is_ours(pid: int) -> bool:
        if pid not in ours:
            process = processes.get(pid)
            ours[pid] = process is not None and is_ours(process.parent)
        return ours[pid]

    return [
        process
        for pid, process in processes.items()
        if pid != os.getpid() and process.state not in "ZX" and is_ours(pid)
    ]


def _all_processes() -> list[Process]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it ended while we looked
            continue
        state, parent = rest.split()[:2]
        found.append(Process(int(folder.name), int(parent), state, command or name.partition("(")[2]))
    return found
