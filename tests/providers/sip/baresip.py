"""baresip as a phone that people have: it calls, answers by itself, presses keys, and writes down what it hears."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from tests.kit.processes import dies_with_parent
from tests.providers.sip.phone import free_port
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
    count = 20 * RATE
    write_wav(folder / "tone.wav", (6_000 * np.sin(2 * np.pi * hertz * np.arange(count) / RATE)).astype(np.int16))
    console = _tcp_port()
    (folder / "config").write_text(_CONFIG.format(sip=free_port(), folder=folder, console=console))
    (folder / "accounts").write_text(f"<sip:{user}@127.0.0.1:{switch}>;{account}\n")
    (folder / "contacts").write_text("\n")
    begins = ["-e", f"/dial sip:{call}@127.0.0.1:{switch}"] if call else []
    with (folder / "out").open("w") as out:
        process = await asyncio.create_subprocess_exec(
            *("baresip", "-f", str(folder), "-4", "-n", "127.0.0.1", *begins),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=dies_with_parent(),
        )
    phone = Baresip(folder, console)
    try:
        yield phone
    finally:
        phone.close()
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 300)
        except TimeoutError:
            process.kill()
            await process.wait()


def _tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
