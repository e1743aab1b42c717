"""Authoring: what the commands, the API and the console say about a workspace's flows before they run."""

import ast
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.errors import Misconfigured
from beckon.core.measures import closest
from beckon.core.problems import Problems
from beckon.flows import check as checking
from beckon.flows.definition import Flow, FlowProblems, parse_flow
from beckon.flows.steps import Emit
from beckon.flows.trial import Trial, run_trial
from beckon.journeys.journey import found as found_journeys
from beckon.messaging.choose import LABELS
from beckon.messaging.templates import Template, parse_template
from beckon.messaging.wording import TemplateProblems
from beckon.providers.registry import found as found_providers
from beckon.settings import WorkspaceSettings
from beckon.telephony import script_check as calling
from beckon.telephony.script_reading import parse_script
from beckon.telephony.script_trial import run_trial as play_script
from beckon.telephony.script_trial import script_of
from beckon.workspaces import OWN_TYPES, Library, read_settings, text_of


def facts_of(library: Library) -> checking.Library:
    """What the checker may know of an opened workspace."""
    event_types = {type_: schema.document if schema else None for type_, schema in library.schemas.items()}
    for flow in library.flows.values():
        for type_ in _emitted(flow):
            event_types.setdefault(type_, None)
    return facts(
        settings=library.settings,
        templates=library.templates,
        event_types=event_types,
        acts=frozenset(library.acts).union(*(journey.act_names for journey in found_journeys().values())),
        channels=tuple(channel for channel in library.settings.channels if channel in library.channels),
    )


def facts(
    *,
    settings: WorkspaceSettings,
    templates: Mapping[str, Template],
    event_types: Mapping[str, Any],
    acts: frozenset[str] | None,
    channels: tuple[str, ...] | None,
) -> checking.Library:
    """What the checker must know."""
    return checking.Library(
        templates={
            name: checking.TemplateFacts(
                required=frozenset(template.variables_needed),
                optional=frozenset(template.variables) - frozenset(template.variables_needed),
            )
            for name, template in templates.items()
        },
        event_types=event_types,
        inboxes=frozenset(settings.inboxes),
        acts=acts,
        secrets=frozenset(settings.secrets),
        answers={type_: names for journey in found_journeys().values() for type_, names in journey.answers.items()},
        channels=channels or None,
        known_channels=known_channels(),
        own_types=(*OWN_TYPES, *(type_ for journey in found_journeys().values() for type_ in journey.own_types)),
    )


def check_folder(folder: Path) -> list[str]:
    """Everything that is wrong with a folder's flows and templates, one line each; empty: nothing."""
    settings = read_settings(folder, without_secrets=True)
    problems = [f"{folder / 'beckon.yaml'}: {why} [flow.unknown_channel]" for why in strange_channels(settings)]
    templates: dict[str, Template] = {}
    for file in sorted(folder.glob("templates/*.yaml")):
        try:
            template = parse_template(text_of(file), file=str(file))
        except TemplateProblems as error:
            problems += [str(problem) for problem in error.problems]
        else:
            templates[template.name] = template
            problems += [str(problem) for problem in template.warnings]
    event_types: dict[str, Any] = {
        type_: schema for journey in found_journeys().values() for type_, schema in journey.event_types.items()
    }
    for file in sorted(folder.glob("schemas/*.json")):
        try:
            event_types[file.stem] = json.loads(text_of(file))
        except ValueError as error:
            problems.append(f"{file}: no JSON: {error} [schema.json]")
    for kind in [kind for journey in found_journeys().values() for kind in journey.kinds]:
        for file in sorted(folder.glob(kind.pattern)):
            try:
                kind.parse(text_of(file))
            except Problems as error:
                problems += [str(msgspec.structs.replace(problem, file=str(file))) for problem in error.problems]
    texts = {file: text_of(file) for file in sorted(folder.glob("flows/*.yaml"))}
    for text in texts.values():
        for type_ in _types_in(text):
            event_types.setdefault(type_, None)
    acts = frozenset(_acts_in(folder)).union(*(journey.act_names for journey in found_journeys().values()))
    library = facts(
        settings=settings, templates=templates, event_types=event_types, acts=acts, channels=_carried(settings)
    )
    for file, text in texts.items():
        problems += [str(problem) for problem in checking.check_text(text, library, file=str(file))]
    return problems


def known_channels() -> frozenset[str]:
    """The channels that there are."""
    return frozenset((*LABELS, *(provider.channel for provider in found_providers().values())))


def _carried(settings: WorkspaceSettings) -> tuple[str, ...] | None:
    """The channels of the workspace's order that have an account; None where there is none yet."""
    providers = found_providers()
    carried = {providers[name].channel for name in settings.providers if name in providers}
    if settings.telephony.switch:
        carried.add("voice")
    return tuple(name for name in settings.channels if name in carried) or None


def _acts_in(folder: Path) -> Iterator[str]:
    """The Python steps of a folder, read without running any of it: ``file.function``. What can't be read is said when
    the server starts."""
    for file in sorted(folder.glob("steps/*.py")):
        try:
            tree = ast.parse(text_of(file))
        except (SyntaxError, ValueError, Misconfigured):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef):
                yield f"{file.stem}.{node.name}"


def strange_channels(settings: WorkspaceSettings, carried: Collection[str] = ()) -> Iterator[str]:
    """A sentence for each channel of the workspace's order that nobody could carry, beside those ``carried``."""
    known = {*known_channels(), *carried}
    for name in settings.channels:
        if name not in known:
            yield f"channels: there is no channel {name!r}{closest(name, known)}"


def _types_in(text: str) -> Iterator[str]:
    """The types that a flow emits: a flow may begin with what another one says."""
    try:
        flow = parse_flow(text)
    except FlowProblems:
        return
    yield from _emitted(flow)


def _emitted(flow: Flow) -> Iterator[str]:
    for step in flow.by_path.values():
        if isinstance(step, Emit):
            yield step.event_type


def check_scripts(folder: Path) -> list[str]:
    """Everything that is wrong with a folder's call scripts, one line each; empty: nothing."""
    settings = read_settings(folder, without_secrets=True)
    prompts = folder / "prompts"
    library = calling.Library(
        secrets=frozenset(settings.secrets),
        files=frozenset(file.relative_to(prompts).as_posix() for file in prompts.rglob("*") if file.is_file()),
        settings=frozenset(settings.values),
    )
    return [
        str(problem)
        for file in sorted(folder.glob("scripts/*.yaml"))
        for problem in calling.check_text(text_of(file), library, file=str(file))
    ]


def try_scripts(folder: Path) -> Iterator[Trial]:
    """Play every trial of a folder's ``script_tests/*.yaml``. Raises ``ScriptProblems``."""
    scripts = {}
    for file in sorted(folder.glob("scripts/*.yaml")):
        script = parse_script(text_of(file), file=str(file))
        scripts[script.name] = script
    for file in sorted(folder.glob("script_tests/*.yaml")):
        text = text_of(file)
        name = script_of(text, file=str(file)) or file.stem
        if name not in scripts:
            raise Misconfigured("script.unknown", f"{file} tests the script {name!r}; there is none")
        for trial in play_script(scripts[name], text, file=str(file)):
            yield Trial(f"{file.name}: {trial.name}", trial.passed, trial.difference)


def try_folder(folder: Path) -> Iterator[Trial]:
    """Play every trial of a folder's ``tests/*.yaml`` on a virtual clock. Raises ``FlowProblems``."""
    flows = [parse_flow(text_of(file), file=str(file)) for file in sorted(folder.glob("flows/*.yaml"))]
    zone = read_settings(folder, without_secrets=True).time_zone
    for file in sorted(folder.glob("tests/*.yaml")):
        text = text_of(file)
        for trial in run_trial(flows, text, file=str(file), zone=zone).trials:
            yield msgspec.structs.replace(trial, name=f"{file.name}: {trial.name}")
