"""The commands that a person types. Each imports what it needs when it runs: ``beckon --help`` is quick."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import click

from beckon import __version__
from beckon.core.errors import BeckonError


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
    click.echo(f"Next:                   BECKON_WORKSPACE={folder} beckon serve")


@cli.command()
def serve() -> None:
    """Serve the workspace in BECKON_WORKSPACE; docs/settings.md has every setting."""
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
    """Open the demo: the business system, the customer's phone, the team's view, a clock to drag, faults to cause."""
    from beckon.demo import play_headless, serve_demo

    sys.exit(play_headless(as_json=as_json, only=only) if headless else serve_demo(port))


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
    """Make a key for Web Push: the private one for your environment, the public one that browsers subscribe with."""
    from beckon.starting import make_vapid_key

    private, public = make_vapid_key()
    click.echo(f"vapid_private_key (a secret): {private}")
    click.echo(f"public key: {public}")


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
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
def flow_check(folder: Path) -> None:
    """Find what is wrong with a workspace's flows and templates, without running them."""
    from beckon.authoring import check_folder

    _say_problems(check_folder(folder))


@flow.command("test")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
def flow_test(folder: Path) -> None:
    """Play the workspace's flow tests (tests/*.yaml) on a virtual clock."""
    from beckon.authoring import try_folder

    _say_trials(list(try_folder(folder)))


@flow.command("draw")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
def flow_draw(file: Path, output: Path | None) -> None:
    """Draw a flow as SVG."""
    from beckon.flows.definition import parse_flow
    from beckon.flows.diagram import draw

    _put_out(draw(parse_flow(file.read_text(encoding="utf-8"), file=str(file))), output)


@flow.command("schema")
def flow_schema() -> None:
    """Print the JSON Schema of flow files, for editors."""
    from beckon.flows.schema import flow_schema_text

    click.echo(flow_schema_text(), nl=False)


@cli.group()
def script() -> None:
    """Check, test and draw call scripts."""


@script.command("check")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
def script_check(folder: Path) -> None:
    """Find what is wrong with a workspace's call scripts, without a call."""
    from beckon.authoring import check_scripts

    _say_problems(check_scripts(folder))


@script.command("test")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path())
def script_test(folder: Path) -> None:
    """Play the workspace's script tests (script_tests/*.yaml) on a virtual clock."""
    from beckon.authoring import try_scripts

    _say_trials(list(try_scripts(folder)))


@script.command("draw")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
def script_draw(file: Path, output: Path | None) -> None:
    """Draw a call script as SVG."""
    from beckon.telephony.script_drawing import draw
    from beckon.telephony.script_reading import parse_script

    _put_out(draw(parse_script(file.read_text(encoding="utf-8"), file=str(file))), output)


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
    """Import members from a CSV file: as many as you have, and as often as you like."""
    from beckon.journeys.loyalty_offers.importing.command import Asked, import_members

    asked = Asked(
        file=file, url=url, key=key, errors=errors or file.with_suffix(".errors.csv"), from_line=from_line,
        in_flight=in_flight, batch=batch,
    )  # fmt: skip
    sys.exit(import_members(asked))


@cli.group()
def bench() -> None:
    """Measure on this machine, against a yardstick in the same run."""


def _json_option(function: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object in the last line.")(function)


@bench.command("events")
@_json_option
@click.option("--seconds", default=5.0, show_default=True, help="For each phase of each round.")
@click.option("--connections", default=256, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def bench_events(as_json: bool, seconds: float, connections: int, rounds: int) -> None:
    """From the door to the outcome, against a bare echo of the same server."""
    from beckon.bench.events import run

    run(seconds=seconds, connections=connections, rounds=rounds, as_json=as_json)


@bench.command("sleepers")
@_json_option
@click.option("--count", default=1_000_000, show_default=True)
def bench_sleepers(as_json: bool, count: int) -> None:
    """What a million sleeping runs cost: memory, start-up, and the next event."""
    from beckon.bench.sleepers import run

    run(count=count, as_json=as_json)


@bench.command("calls")
@_json_option
@click.option("--calls", "counts", multiple=True, type=int, default=(100, 200), show_default=True)
@click.option("--seconds", default=30.0, show_default=True, help="How long all calls are up while it measures.")
@click.option("--rounds", default=200, show_default=True, help="Keys whose answer is timed.")
def bench_calls(as_json: bool, counts: tuple[int, ...], seconds: float, rounds: int) -> None:
    """Simultaneous bridged and recorded phone calls on the built-in switch, called by SIPp."""
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
    """A purchase with twenty campaigns, and a campaign to a million members."""
    from beckon.bench.loyalty import run

    run(members=members, seconds=seconds, connections=connections, rounds=rounds, as_json=as_json)


def main() -> None:
    """Run a command; what the operator must mend is one sentence, not a trace."""
    try:
        cli(standalone_mode=True)
    except BeckonError as error:
        click.echo(f"beckon: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
