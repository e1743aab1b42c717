"""baresip as a phone that people have: it calls, answers by itself, presses keys, and writes down what it hears."""

import asyncio
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from beckon.bench.place import free_port
from tests.kit.processes import dies_with_parent
from tests.providers.sip.tones import RATE, write_wav

_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
call_max_calls 4
audio_path {folder}
audio_player aubridge,nobody
audio_source aufile,{folder}/tone.wav
audio_alert aubridge,nobody
snd_path {folder}
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_ports 40000-48000
module_path /usr/lib/baresip/modules
module cons.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
cons_listen 127.0.0.1:{console}
"""


TRIES_MAX = 5


class Baresip:
    """One running phone."""

    def __init__(self, folder: Path, console: int) -> None:
        self._folder = folder
        self._console = ("127.0.0.1", console)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def press(self, keys: str) -> None:
        """Press what a person would: digits in a call, ``b`` to hang up."""
        for key in keys:
            self._socket.sendto(key.encode(), self._console)

    async def start(self) -> Process:
        """Start it."""
        with (self._folder / "out").open("w") as out:
            return await asyncio.create_subprocess_exec(
                *("baresip", "-f", str(self._folder), "-4", "-n", "127.0.0.1"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=dies_with_parent(),
            )

    async def is_up(self, process: Process) -> bool:
        """Whether it came up with all of its ports."""
        async with asyncio.timeout(300):
            while "baresip is ready" not in self.said and process.returncode is None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        return process.returncode is None and "Address already in use" not in self.said

    @property
    def heard(self) -> Path:
        """The file of what it hears."""
        [found] = self._folder.glob("dump-*-dec.wav")
        return found

    @property
    def said(self) -> str:
        """What it printed."""
        return (self._folder / "out").read_text(errors="replace")

    async def says(self, words: str) -> None:
        """Wait until it has printed this."""
        async with asyncio.timeout(300):
            while words not in self.said:  # noqa: ASYNC110 - another process's file
                await asyncio.sleep(0.05)

    def close(self) -> None:
        """Forget its console."""
        self._socket.close()


@asynccontextmanager
async def baresip(
    folder: Path, user: str, switch: int, hertz: float, account: str, call: str = ""
) -> AsyncIterator[Baresip]:
    """A phone with an account, that talks in a tone; ``call``: whom it calls as soon as it is up."""
    folder.mkdir()
    samples = 20 * RATE
    write_wav(folder / "tone.wav", (6_000 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.int16))
    (folder / "accounts").write_text(f"<sip:{user}@127.0.0.1:{switch}>;{account}\n")
    (folder / "contacts").write_text("\n")
    for left in reversed(range(TRIES_MAX)):
        console = free_port()
        (folder / "config").write_text(_CONFIG.format(sip=free_port(), folder=folder, console=console))
        phone = Baresip(folder, console)
        process = await phone.start()
        # Its ports may have been taken meanwhile: it was never up, and is started with others.
        if await phone.is_up(process) or not left:
            break
        await _end(process)
        phone.close()
    try:
        if call:
            phone.press(f"/dial sip:{call}@127.0.0.1:{switch}\n")
        yield phone
    finally:
        phone.close()
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 300)
    except TimeoutError:
        process.kill()
        await process.wait()
