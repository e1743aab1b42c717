"""The commands that a person types. Each imports what it needs when it runs: ``beckon --help`` is quick."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from beckon import __version__
from beckon.core.errors import BeckonError
from beckon.core.problems import Problems


def _folder_argument(function: Any) -> Any:
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.argument("folder", type=folder, default=Path(), envvar="BECKON_WORKSPACE")(function)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="beckon")
def cli() -> None:
    """An event in a business system reaches the contact on the best channel, and the result comes home."""


@cli.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path("workspace"))
@click.option("--email", default="", help="The first owner's mailbox, for signing in to the team's pages.")
def init(folder: Path, email: str) -> None:
    """Write an example workspace, a first owner and an API key."""
    from beckon.starting import init_workspace

    made = asyncio.run(init_workspace(folder, email=email))
    click.echo(f"Wrote {len(made.files)} files to {folder}/")
    click.echo(f"API key (shown once):   {made.token}")
    if made.password:
        click.echo(f"Owner:                  {made.email}")
        click.echo(f"Password (shown once):  {made.password}")
    else:
        click.echo(f"No owner yet:           BECKON_WORKSPACE={folder} beckon people add you@example.com --role owner")
    click.echo(f"Next:                   BECKON_WORKSPACE={folder} beckon serve")


@cli.command()
def serve() -> None:
    """Serve the workspace in BECKON_WORKSPACE.

    docs/settings.md has every setting.
    """
    from beckon.app import Beckon
    from beckon.serving import serve_app
    from beckon.settings import from_environment

    settings = from_environment()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.exit(serve_app(Beckon(settings).app, settings.host, settings.port))


@cli.command()
@click.option("--headless", is_flag=True, help="Play every scenario without a page, and check each step.")
@click.option("--json", "as_json", is_flag=True, help="Print steps as JSON lines.")
@click.option("--port", default=8080, show_default=True)
@click.option("--scenario", "only", multiple=True, help="Play only these.")
def demo(headless: bool, as_json: bool, port: int, only: tuple[str, ...]) -> None:
    """Open the demo, or play all of it without a page.

    One page: the business system, the customer's phone, the team's view, a clock to drag, faults to cause.
    """
    from beckon.demo import play_headless, serve_demo

    sys.exit(play_headless(as_json=as_json, only=only) if headless else serve_demo(port))


@cli.command("openapi")
def openapi() -> None:
    """Print the API's OpenAPI document, with what the journeys add to it."""
    from beckon.doors.api.openapi import document_text
    from beckon.journeys.journey import described, found

    click.echo(document_text(described(found())), nl=False)


@cli.group()
def key() -> None:
    """API keys."""


@key.command("new")
@click.option("--label", default="key", show_default=True)
@click.option("--scopes", default="events read write", show_default=True, help="events read write forget definitions")
def key_new(label: str, scopes: str) -> None:
    """Make an API key; it is shown once."""
    from beckon.starting import make_key

    click.echo(asyncio.run(make_key(label, scopes)))


@key.command("revoke")
@click.argument("label")
def key_revoke(label: str) -> None:
    """Revoke the keys of this label."""
    from beckon.starting import revoke_keys

    click.echo(f"Revoked: {asyncio.run(revoke_keys(label))}")


@key.command("vapid")
def key_vapid() -> None:
    """Make a key for Web Push.

    The private one belongs in your environment, the public one is what browsers subscribe with.
    """
    from beckon.starting import make_vapid_key

    private, public = make_vapid_key()
    click.echo(f"vapid_private_key (a secret): {private}")
    click.echo(f"public key: {public}")


@cli.group()
def people() -> None:
    """Who may sign in to the team's pages."""


def _password_option(function: Any) -> Any:
    text = "Type the password; otherwise one is made and shown once."
    return click.option("--ask", is_flag=True, help=text)(function)


def _asked_password(ask: bool) -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True)) if ask else ""


@people.command("add")
@click.argument("email")
@click.option("--name", default="", help="What the team calls them. Default: what stands before the @.")
@click.option(
    "--role", default="agent", show_default=True, help="owner, agent or listener; docs/settings.md says what they may."
)
@_password_option
def people_add(email: str, name: str, role: str, ask: bool) -> None:
    """Let somebody sign in."""
    from beckon.people import add

    made = asyncio.run(add(email, role=role, name=name, password=_asked_password(ask)))
    click.echo(f"{made.person.email} signs in as {made.person.name}, {made.person.role}.")
    _show_password(made.password, ask)


@people.command("list")
def people_list() -> None:
    """Say who may sign in, and as what."""
    from beckon.people import listed

    everybody = asyncio.run(listed())
    width = max((len(person.email) for person in everybody), default=0)
    for person in everybody:
        click.echo(f"{person.email:{width}}  {person.role:8}  {person.name}")
    if not everybody:
        click.echo("Nobody can sign in yet: beckon people add you@example.com --role owner", err=True)


@people.command("password")
@click.argument("email")
@_password_option
def people_password(email: str, ask: bool) -> None:
    """Give somebody a new password, and sign them out everywhere."""
    from beckon.people import new_password

    made = asyncio.run(new_password(email, _asked_password(ask)))
    click.echo(f"{made.person.email} has a new password and is signed out everywhere.")
    _show_password(made.password, ask)


@people.command("role")
@click.argument("email")
@click.argument("role")
def people_role(email: str, role: str) -> None:
    """Make somebody an owner, an agent or a listener."""
    from beckon.people import new_role

    person = asyncio.run(new_role(email, role))
    click.echo(f"{person.email} is now {person.role}.")


@people.command("remove")
@click.argument("email")
def people_remove(email: str) -> None:
    """Let somebody in no more; what they wrote stays."""
    from beckon.people import remove

    click.echo(f"{asyncio.run(remove(email)).email} is signed out everywhere and can't sign in any more.")


def _show_password(password: str, ask: bool) -> None:
    if not ask:
        click.echo(f"Password (shown once):  {password}")


@cli.group()
def new() -> None:
    """Scaffold what is found by scanning."""


@new.command("provider")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), default=None, help="Where to write it.")
def new_provider(name: str, folder: Path | None) -> None:
    """Scaffold a provider's folder and its tests."""
    from beckon.providers.scaffold import write

    for file in write(folder or Path(__file__).parent / "providers", name):
        click.echo(str(file))


@cli.group()
def flow() -> None:
    """Check, test and draw flows."""


@flow.command("check")
@_folder_argument
def flow_check(folder: Path) -> None:
    """Find what is wrong in a workspace, without running it.

    Settings, flows, templates and what journeys define. FOLDER: otherwise BECKON_WORKSPACE, or where you are.
    """
    from beckon.authoring import check_folder

    _say_problems(check_folder(folder))


@flow.command("test")
@_folder_argument
def flow_test(folder: Path) -> None:
    """Play flow tests (tests/*.yaml) on a virtual clock.

    FOLDER: otherwise BECKON_WORKSPACE, or where you are.
    """
    from beckon.authoring import try_folder

    _say_trials(list(try_folder(folder)))


@flow.command("draw")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
def flow_draw(file: Path, output: Path | None) -> None:
    """Draw a flow as SVG."""
    from beckon.flows.definition import parse_flow
    from beckon.flows.diagram import draw
    from beckon.workspaces import text_of

    _put_out(draw(parse_flow(text_of(file), file=str(file))), output)


@flow.command("schema")
def flow_schema() -> None:
    """Print the JSON Schema of flow files, for editors."""
    from beckon.flows.schema import flow_schema_text

    click.echo(flow_schema_text(), nl=False)


@cli.group()
def script() -> None:
    """Check, test and draw call scripts."""


@script.command("check")
@_folder_argument
def script_check(folder: Path) -> None:
    """Find what is wrong with call scripts, without a call.

    FOLDER: otherwise BECKON_WORKSPACE, or where you are.
    """
    from beckon.authoring import check_scripts

    _say_problems(check_scripts(folder))


@script.command("test")
@_folder_argument
def script_test(folder: Path) -> None:
    """Play script tests (script_tests/*.yaml) on a virtual clock.

    FOLDER: otherwise BECKON_WORKSPACE, or where you are.
    """
    from beckon.authoring import try_scripts

    _say_trials(list(try_scripts(folder)))


@script.command("draw")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
def script_draw(file: Path, output: Path | None) -> None:
    """Draw a call script as SVG."""
    from beckon.telephony.script_drawing import draw
    from beckon.telephony.script_reading import parse_script
    from beckon.workspaces import text_of

    _put_out(draw(parse_script(text_of(file), file=str(file))), output)


@script.command("schema")
def script_schema() -> None:
    """Print the JSON Schema of call scripts, for editors."""
    from beckon.telephony.script_schema import script_schema_text

    click.echo(script_schema_text(), nl=False)


@cli.group()
def switch() -> None:
    """The built-in switch for phone calls."""


@switch.command("try")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="This machine's address, as your phone reaches it."
)
@click.option("--port", default=5060, show_default=True)
def switch_try(host: str, port: int) -> None:
    """Run the switch alone: call it with your own SIP phone."""
    import tempfile

    from beckon.demo.own_phone import try_switch

    with tempfile.TemporaryDirectory(prefix="beckon-switch-") as folder:
        asyncio.run(try_switch(host, port, folder, click.echo))


@cli.group()
def loyalty() -> None:
    """The loyalty programme's members."""


@loyalty.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where the server listens.")
@click.option("--key", envvar="BECKON_KEY", required=True, help="An API key with the scope write; or BECKON_KEY.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Default: FILE.errors.csv")
@click.option("--from-line", default=2, show_default=True, type=click.IntRange(min=2), help="Where to go on.")
@click.option("--in-flight", default=2, show_default=True, type=click.IntRange(1, 16), help="Requests at a time.")
@click.option("--batch", default=100, show_default=True, type=click.IntRange(1, 500), help="Rows in a request.")
def loyalty_import(
    file: Path, url: str, key: str, errors: Path | None, from_line: int, in_flight: int, batch: int
) -> None:
    """Import members from a CSV file.

    As many as you have, and as often as you like.
    """
    from beckon.journeys.loyalty_offers.importing.command import Asked, import_members

    asked = Asked(
        file=file, url=url, key=key, errors=errors or file.with_suffix(".errors.csv"), from_line=from_line,
        in_flight=in_flight, batch=batch,
    )  # fmt: skip
    sys.exit(import_members(asked))


@cli.group()
def bench() -> None:
    """Measure on this machine."""


def _json_option(function: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object in the last line.")(function)


@bench.command("events")
@_json_option
@click.option("--seconds", default=5.0, show_default=True, help="For each phase of each round.")
@click.option("--connections", default=256, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def bench_events(as_json: bool, seconds: float, connections: int, rounds: int) -> None:
    """Events a second, from the door to the outcome.

    Against a bare echo of the same server, in the same run.
    """
    from beckon.bench.events import run

    run(seconds=seconds, connections=connections, rounds=rounds, as_json=as_json)


@bench.command("sleepers")
@_json_option
@click.option("--count", default=1_000_000, show_default=True)
def bench_sleepers(as_json: bool, count: int) -> None:
    """What a million sleeping runs cost.

    In memory, at the start, and at the next event.
    """
    from beckon.bench.sleepers import run

    run(count=count, as_json=as_json)


@bench.command("calls")
@_json_option
@click.option("--calls", "counts", multiple=True, type=int, default=(100, 200), show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="How long all calls are up while it measures.")
@click.option("--rounds", default=200, show_default=True, help="Keys whose answer is timed.")
def bench_calls(as_json: bool, counts: tuple[int, ...], seconds: float, rounds: int) -> None:
    """Phone calls at a time on the built-in switch.

    Bridged and recorded, called by SIPp.
    """
    from beckon.bench.calls import run

    run(counts=counts, seconds=seconds, rounds=rounds, as_json=as_json)


def _say_problems(problems: list[str]) -> None:
    for problem in problems:
        click.echo(problem)
    click.echo("No problems." if not problems else f"{len(problems)} problems.", err=True)
    sys.exit(1 if problems else 0)


def _say_trials(trials: list[Any]) -> None:
    for trial in trials:
        click.echo(f"{'passed' if trial.passed else 'FAILED'}  {trial.name}")
        for line in trial.difference if not trial.passed else ():
            click.echo(f"        {line}")
    failed = sum(not trial.passed for trial in trials)
    click.echo(f"{len(trials) - failed} passed, {failed} failed", err=True)
    sys.exit(1 if failed else 0)


def _put_out(svg: str, output: Path | None) -> None:
    if output is None:
        click.echo(svg)
    else:
        output.write_text(svg, encoding="utf-8")


@bench.command("loyalty")
@_json_option
@click.option("--members", default=1_000_000, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="For each phase of each round.")
@click.option("--connections", default=256, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def bench_loyalty(as_json: bool, members: int, seconds: float, connections: int, rounds: int) -> None:
    """A purchase, and a campaign to a million members.

    The purchase is looked at by twenty campaigns.
    """
    from beckon.bench.loyalty import run

    run(members=members, seconds=seconds, connections=connections, rounds=rounds, as_json=as_json)


def main() -> None:
    """Run a command; what the operator must mend is one sentence, not a trace."""
    try:
        cli(standalone_mode=True)
    except Problems as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)
    except BeckonError as error:
        click.echo(f"beckon: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"beckon: {error.filename}: {error.strerror}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
