"""Authoring: what the commands, the API and the console say about a workspace's flows before they run."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from beckon.core.errors import BeckonError, Misconfigured
from beckon.core.yaml_text import YamlProblem, read_yaml
from beckon.flows import check as checking
from beckon.flows.definition import FlowProblems, parse_flow
from beckon.flows.trial import run_trials
from beckon.journeys.journey import found as found_journeys
from beckon.messaging.templates import Template, parse_template
from beckon.messaging.wording import TemplateProblems
from beckon.settings import WorkspaceSettings
from beckon.workspaces import Library, read_settings


def facts_of(library: Library) -> checking.Library:
    """What the checker may know of an opened workspace."""
    return facts(
        settings=library.settings,
        templates=library.templates,
        event_types={type_: schema.document if schema else None for type_, schema in library.schemas.items()},
        acts=frozenset(library.acts),
        channels=tuple(channel for channel in library.settings.channels if channel in library.channels),
    )


def facts(
    *,
    settings: WorkspaceSettings,
    templates: Mapping[str, Template],
    event_types: Mapping[str, Any],
    acts: frozenset[str],
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
        channels=channels or None,
    )


def check_folder(folder: Path) -> list[str]:
    """Everything that is wrong with a folder's flows and templates, one line each; empty: nothing."""
    problems: list[str] = []
    settings = read_settings(folder)
    templates: dict[str, Template] = {}
    for file in sorted(folder.glob("templates/*.yaml")):
        try:
            template = parse_template(file.read_text(encoding="utf-8"), file=str(file))
        except TemplateProblems as error:
            problems += [str(problem) for problem in error.problems]
        else:
            templates[template.name] = template
            problems += [str(problem) for problem in template.warnings]
    event_types = {
        type_: schema for journey in found_journeys().values() for type_, schema in journey.event_types.items()
    }
    for file in sorted(folder.glob("schemas/*.json")):
        try:
            event_types[file.stem] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(f"{file}: no JSON: {error} [schema.json]")
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(folder.glob("flows/*.yaml"))}
    for text in texts.values():
        for type_ in _types_in(text):
            event_types.setdefault(type_, None)
    library = facts(settings=settings, templates=templates, event_types=event_types, acts=frozenset(), channels=None)
    library = msgspec.structs.replace(library, acts=None)
    for file, text in texts.items():
        problems += [str(problem) for problem in checking.check_text(text, library, file=str(file))]
    return problems


def _types_in(text: str) -> Iterator[str]:
    """The types that a flow emits: a flow may begin with what another one says."""
    try:
        flow = parse_flow(text)
    except FlowProblems:
        return
    for step in flow.by_path.values():
        type_ = getattr(step, "emit", None)
        if isinstance(type_, str):
            yield type_


def test_folder(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Play every trial of a folder's ``tests/*.yaml``: its name, and what differed; empty: it passed."""
    flows = []
    for file in sorted(folder.glob("flows/*.yaml")):
        flows.append(parse_flow(file.read_text(encoding="utf-8"), file=str(file)))
    settings = read_settings(folder)
    for file in sorted(folder.glob("tests/*.yaml")):
        try:
            read_yaml(file.read_text(encoding="utf-8"))
        except YamlProblem as error:
            raise Misconfigured("trial.yaml", f"{file}, line {error.line}: {error.why}") from error
        try:
            for result in run_trials(file.read_text(encoding="utf-8"), flows, file=str(file), zone=settings.time_zone):
                yield f"{file.name}: {result.name}", list(result.faults)
        except BeckonError as error:
            yield file.name, [str(error)]
