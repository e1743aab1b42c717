"""Running: the calls of our own switch: which script a number has, what it is asked and told, what becomes of it.

``open_calls`` gives a runner; hand its ``listen`` to a switch as it is opened, the switch to ``use``, and ``close`` it
before the switch. Scripts are the workspace's ``scripts/*.yaml``, read once; ``numbers`` in ``beckon.yaml`` says which
number has which.
"""

from collections.abc import Mapping
from pathlib import Path

from beckon.core.errors import Misconfigured
from beckon.core.event import Json
from beckon.journeys.call_processing.asked import asked_event, finished_event
from beckon.journeys.call_processing.dialect import Asked
from beckon.journeys.part import JourneyParts
from beckon.telephony.call import About, CallRecord
from beckon.telephony.calls import Calls, Chosen
from beckon.telephony.orders import Ask
from beckon.telephony.questions import Dialect, Outside, Questions
from beckon.telephony.script import Script
from beckon.telephony.script_reading import ScriptProblems, parse_script
from beckon.telephony.switch import LegOffered
from beckon.workspaces import Library

_SCRIPTS_MAX = 200
_SCRIPT_BYTES_MAX = 262_144


def read_scripts(folder: Path) -> dict[str, Script]:
    """A workspace's call scripts by name. Raises ``Misconfigured`` naming the file."""
    files = sorted((folder / "scripts").glob("*.yaml"))
    if len(files) > _SCRIPTS_MAX:
        raise Misconfigured("script.files", f"{folder}/scripts has more than {_SCRIPTS_MAX} files")
    scripts: dict[str, Script] = {}
    for file in files:
        if file.stat().st_size > _SCRIPT_BYTES_MAX:
            raise Misconfigured("script.file_size", f"{file} is larger than {_SCRIPT_BYTES_MAX} bytes")
        try:
            script = parse_script(file.read_text(encoding="utf-8"), file=str(file))
        except (ScriptProblems, UnicodeDecodeError) as error:
            raise Misconfigured("script.broken", f"{file}: {error}") from error
        if script.name in scripts:
            raise Misconfigured("script.twice", f"{file} and another file both define the script {script.name!r}")
        scripts[script.name] = script
    return scripts


def open_calls(
    parts: JourneyParts, library: Library, outside: Outside, dialects: Mapping[str, Dialect], *, calls_max: int = 500
) -> Calls:
    """A runner for one workspace's calls. Raises ``Misconfigured`` for a script that is broken or missing."""
    scripts = read_scripts(library.folder)
    for number, name in library.settings.numbers.items():
        if name not in scripts:
            raise Misconfigured("script.unknown", f"numbers names the script {name!r} for {number}; there is none")

    async def choose(offered: LegOffered) -> Chosen | None:
        name = library.settings.numbers.get(offered.called) or library.settings.numbers.get("*")
        if name is None:
            return None
        settings = library.settings
        about = About(settings=dict(settings.values), codes=dict(settings.secrets), time_zone=settings.time_zone)
        return Chosen(workspace=library.workspace, script=scripts[name], about=about)

    async def ours(ask: Ask, workspace: str) -> Json:
        asked = Asked(**dict(_UNTOLD | dict(ask.told)))
        event = asked_event(library, asked, "own", parts.clock.now_ms())
        return await parts.ask(event, ask.timeout_ms / 1_000)

    async def finish(record: CallRecord) -> None:
        await parts.settle([finished_event(library, record)])

    def secret(workspace: str, name: str) -> str:
        return library.secret(name)

    return Calls(
        parts.clock, Questions(parts.clock, outside, dialects, ours, secret), choose, finish, calls_max=calls_max
    )


#: What a script may leave unsaid, and a flow counts on.
_UNTOLD = {"call": "", "session": "", "caller": "", "called": ""}
