"""The two ways to run the demo: its page for a visitor, and every scenario without one."""

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec
import uvloop

from beckon.core.clock import DraggableClock, SystemClock
from beckon.core.errors import BeckonError
from beckon.demo.stage import listen, staged
from beckon.sandbox.playing import Line, play
from beckon.sandbox.scenarios import Scenario, scenarios

#: How long a scenario may take in real time.
_SCENARIO_S = 300.0


def serve_demo(port: int) -> int:
    """Serve the demo's page until a signal; the exit status."""
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(_serve(port))
    except (BeckonError, OSError) as error:
        click.echo(f"beckon: {error}", err=True)
        return 2
    return 0


async def _serve(port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    listening = listen(port)
    taken = listening.getsockname()[1]
    # A fresh day at each start; the last one stays for those who want to look into it.
    folder = _cache() / f"demo-{taken}"
    shutil.rmtree(folder, ignore_errors=True)
    async with staged(folder, clock=DraggableClock(), listening=listening, with_page=True, by_itself=True) as stage:
        if port and taken != port:
            click.echo(f"Port {port} is taken, so it is another one today.")
        click.echo(f"The demo is at  {stage.address}/   (Ctrl+C ends it; nothing leaves this machine)")
        await ended.wait()


def _cache() -> Path:
    """This user's own folder for what may be lost."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beckon"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(home, os.W_OK):
            return home
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="beckon-"))


def play_headless(*, as_json: bool, only: Sequence[str] = ()) -> int:
    """Play every scenario (or ``only`` these) and print each step; 1 when a step differs from what it should be."""
    logging.basicConfig(level="CRITICAL")
    chosen = scenarios()
    unknown = [name for name in only if name not in chosen]
    if unknown:
        click.echo(f"There is no scenario {', '.join(unknown)}; there are: {', '.join(chosen)}", err=True)
        return 2
    return uvloop.run(_play_all([chosen[name] for name in only or chosen], _json_line if as_json else _plain_line))


async def _play_all(chosen: Sequence[Scenario], say: Callable[[Line], None]) -> int:
    began_ms = SystemClock().now_ms()
    wrong: list[str] = []
    steps = 0
    for scenario in chosen:
        fine = True
        with tempfile.TemporaryDirectory(prefix="beckon-") as folder:
            try:
                async with asyncio.timeout(_SCENARIO_S), staged(Path(folder), edits=scenario.workspace) as stage:
                    async for line in play(scenario, stage.cast):
                        steps += 1
                        fine = fine and line.ok
                        say(line)
            except Exception as error:
                # Whatever breaks in a scenario is its result; the others are played all the same.
                fine = False
                say(
                    Line(
                        scenario.scenario,
                        "it is played to its end",
                        "no error",
                        f"{type(error).__name__}: {error}",
                        False,
                    )
                )
        if not fine:
            wrong.append(scenario.scenario)
    took_s = (SystemClock().now_ms() - began_ms) / 1000
    _summary(say is _json_line, len(chosen), steps, wrong, took_s)
    return 1 if wrong else 0


def _plain_line(line: Line) -> None:
    mark = click.style("  ok  ", fg="green") if line.ok else click.style("DIFFERS", fg="red", bold=True)
    click.echo(f"{mark} {click.style(line.scenario, bold=True)}: {line.step}")
    click.echo(f"        {line.seen}")
    if not line.ok:
        click.echo(f"        expected: {line.expected}")


def _json_line(line: Line) -> None:
    sys.stdout.write(json.dumps(msgspec.to_builtins(line), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _summary(as_json: bool, played: int, steps: int, wrong: Sequence[str], took_s: float) -> None:
    if as_json:
        said = {
            "scenarios": played,
            "steps": steps,
            "ok": not wrong,
            "failed": list(wrong),
            "seconds": round(took_s, 1),
        }
        sys.stdout.write(json.dumps(said) + "\n")
        return
    if wrong:
        click.echo(f"\n{len(wrong)} of {played} scenarios differ: {', '.join(wrong)}")
    else:
        click.echo(f"\nAll {played} scenarios went as they should: {steps} steps in {took_s:.1f} s.")
