"""Sets up what Beckon needs on this machine. Only the standard library; called by the Makefile.

    python3.11 tools/set_up.py runtime     .venv with what the server needs
    python3.11 tools/set_up.py dev         … and what the tests and linters need
    python3.11 tools/set_up.py machine     Debian's PostgreSQL, Chromium, phones and speech, which the tests start

Each is done once: a stamp in .venv holds a fingerprint of everything that the set-up was made from. All
output goes to stderr, so that a command run afterwards has stdout for itself.
"""

import fcntl
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV_INSTALL = (str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON))
VENDOR = ROOT / "src" / "beckon" / "web" / "static" / "vendor"

# The environment is made from these; the dev environment from the dev lock too.
MADE_FROM = (
    "hatch_build.py",
    "package-lock.json",
    "package.json",
    "pyproject.toml",
    "requirements-build.lock",
    "requirements-node.lock",
    "requirements.lock",
    "tools/set_up.py",
)
DEV_MADE_FROM = (*MADE_FROM, "requirements-dev.lock")

MACHINE_PACKAGES = (
    "baresip",
    "chromium",
    "espeak-ng",
    "fonts-liberation",
    "fonts-noto-color-emoji",
    "postgresql",
    "sip-tester",
)
DEBIAN_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Where the tests find what npm brings them; gone with .venv.
SCHEMAS = VENV / "npm"
FETCH_SCHEMAS = "import hatch_build as b, pathlib, sys; b.run_npm(b.NPM_CI, pathlib.Path(sys.argv[1]))"
VENDOR_IS_CURRENT = "import hatch_build as b, pathlib, sys; sys.exit(not b.is_current(pathlib.Path().resolve()))"
COMMAND_TIMEOUT_S = 1200


class SetUpFailed(Exception):
    """What the person at the keyboard should read and do."""


def main(arguments: list[str]) -> int:
    """Does what it is asked for, one at a time: a second call waits for the first."""
    jobs = {"runtime": set_up_runtime, "dev": set_up_dev, "machine": set_up_machine}
    if len(arguments) != 1 or arguments[0] not in jobs:
        say(f"usage: tools/set_up.py {'|'.join(jobs)}")
        return 2
    with (ROOT / ".set-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            jobs[arguments[0]]()
        except SetUpFailed as failure:
            say(f"\nBeckon's set-up stopped: {failure}")
            return 1
    return 0


def set_up_runtime() -> None:
    """Makes .venv with the locked packages and an editable install of Beckon."""
    if is_current("runtime", MADE_FROM):
        return
    say("Setting up Beckon in .venv (once; well under a minute) …")
    make_environment()
    with step("the server's packages"):
        install("requirements.lock")
    with step("Beckon and its front end"):
        install_beckon()
    set_stamp("runtime", MADE_FROM)


def set_up_dev() -> None:
    """Adds what tests and linters need. The dev lock holds the runtime's packages too."""
    set_up_runtime()
    if is_current("dev", DEV_MADE_FROM):
        return
    with step("the tests' packages"):
        install("requirements-dev.lock")
    with step("the schemas that tests validate by"):
        install_schemas()
    set_stamp("dev", DEV_MADE_FROM)


def set_up_machine() -> None:
    """Installs Debian's PostgreSQL, Chromium, SIP phones and speech where they are missing."""
    present = what_the_machine_has()
    missing = [name for name, found in present.items() if not found]
    if not missing:
        return
    wanted = ", ".join(missing)
    by_hand = f"the tests need {wanted}; install: {' '.join(MACHINE_PACKAGES)}"
    if not shutil.which("apt-get"):
        raise SetUpFailed(f"{by_hand} (there is no apt-get here).")
    if os.geteuid() == 0:
        prefix = []
    elif shutil.which("sudo"):
        prefix = ["sudo", "--non-interactive"] if os.environ.get("CI") else ["sudo"]
    else:
        raise SetUpFailed(f"{by_hand} (as root: this user may not, and there is no sudo).")
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    with step(f"the machine's {wanted} (apt-get)"):
        run([*environment, "apt-get", "update", "-qq"])
        options = ["--yes", "-qq", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"]
        run([*environment, "apt-get", "install", *options, *MACHINE_PACKAGES])
    if not all(what_the_machine_has().values()):
        raise SetUpFailed(f"apt-get ended well, yet {by_hand}.")


def what_the_machine_has() -> dict[str, bool]:
    """Each thing that the tests start, and whether it is here."""
    return {
        "PostgreSQL": has_postgres(),
        "Chromium": has_chromium(),
        "SIPp": shutil.which("sipp") is not None,
        "baresip": shutil.which("baresip") is not None,
        "espeak-ng": shutil.which("espeak-ng") is not None,
    }


def has_postgres() -> bool:
    """Whether PostgreSQL's server is where Debian puts it."""
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def has_chromium() -> bool:
    """Whether Chromium is where Debian puts it."""
    return Path("/usr/bin/chromium").exists()


def make_environment() -> None:
    """Makes .venv with the build's own tools (uv, hatchling).

    A bare Debian has `venv` without `ensurepip`, so the environment is made without pip, and the machine's
    pip installs into it from outside; that is quicker everywhere else too.
    """
    if not environment_works():
        with step("an empty environment"):
            if pip_reaches_outside():
                run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)])
            else:
                run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    with step("the installer"):
        pip_install("requirements-build.lock")


def environment_works() -> bool:
    """Whether .venv has a Python that runs, and was made here: a copied one runs the other place's code."""
    activate = VENV / "bin" / "activate"
    return activate.exists() and str(VENV) in activate.read_text() and runs([str(PYTHON), "-c", ""])


def pip_reaches_outside() -> bool:
    """Whether this Python has a pip that can install into another environment (22.3 and later)."""
    return runs([sys.executable, "-m", "pip", "--python", sys.executable, "--version"])


def pip_install(lock: str, *options: str) -> None:
    """Installs a lock with pip: the environment's own, else the machine's."""
    if runs([str(PYTHON), "-m", "pip", "--version"]):
        pip = [str(PYTHON), "-m", "pip"]
    elif pip_reaches_outside():
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    else:
        raise SetUpFailed("Python has no pip; on Debian: apt-get install python3-pip, then try again.")
    quiet = ["--quiet", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", *quiet, *options, "--require-hashes", "--requirement", str(ROOT / lock)])


def install(lock: str, *options: str) -> None:
    """Installs a lock with uv, and with pip where uv can't (a registry that only pip is told of)."""
    try:
        run([*UV_INSTALL, *options, "--require-hashes", "--requirement", str(ROOT / lock)], trusting_environment())
    except SetUpFailed:
        pip_install(lock, *options)


def install_beckon() -> None:
    """Installs Beckon itself, editable. Its build hook fetches htmx, with a lent Node where there is none."""
    with tempfile.TemporaryDirectory(prefix="beckon-node-") as node:
        environment = trusting_environment()
        if not shutil.which("npm") and not runs([str(PYTHON), "-c", VENDOR_IS_CURRENT]):
            install("requirements-node.lock", "--target", node)
            environment["PYTHONPATH"] = node
        run([*UV_INSTALL, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], environment)


def install_schemas() -> None:
    """Fetches the npm packages by which tests validate (devDependencies); nothing of them is run."""
    SCHEMAS.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, SCHEMAS)
    with tempfile.TemporaryDirectory(prefix="beckon-node-") as node:
        environment = trusting_environment()
        if not shutil.which("npm"):
            install("requirements-node.lock", "--target", node)
            environment["PYTHONPATH"] = node
        run([str(PYTHON), "-c", FETCH_SCHEMAS, str(SCHEMAS)], environment)


def trusting_environment() -> dict[str, str]:
    """uv and npm look elsewhere than pip; hand them what pip knows about registries and certificates."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    for theirs, pips in (("UV_DEFAULT_INDEX", "PIP_INDEX_URL"), ("UV_INDEX", "PIP_EXTRA_INDEX_URL")):
        if pips in environment:
            environment.setdefault(theirs, environment[pips])
    authorities = environment.get("PIP_CERT") or ssl.get_default_verify_paths().cafile or DEBIAN_AUTHORITIES
    if Path(authorities).exists():
        environment.setdefault("SSL_CERT_FILE", authorities)
        environment.setdefault("NODE_EXTRA_CA_CERTS", authorities)
    return environment


def is_current(stamp: str, made_from: tuple[str, ...]) -> bool:
    """Whether this set-up was done from just these files, and nothing of it is gone."""
    path = VENV / f".beckon-{stamp}"
    if not (PYTHON.exists() and (VENDOR / ".fingerprint").exists() and path.exists()):
        return False
    return path.read_text() == fingerprint(made_from)


def set_stamp(stamp: str, made_from: tuple[str, ...]) -> None:
    """Remembers that this set-up is done."""
    (VENV / f".beckon-{stamp}").write_text(fingerprint(made_from))


def fingerprint(made_from: tuple[str, ...]) -> str:
    """Of the files' contents and of where the checkout lies: scripts in .venv hold its path."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in made_from:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Runs a command in silence; when it fails, shows what it said."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=None if sys.stdin and sys.stdin.isatty() else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise SetUpFailed(f"this failed: {' '.join(command)}\n{done.stdout[-4000:]}")


def runs(command: list[str]) -> bool:
    """Whether a command ends well."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except OSError:
        return False
    return done.returncode == 0


@contextmanager
def step(what: str) -> Iterator[None]:
    """One line per step, with its seconds."""
    started_s = time.monotonic()
    print(f"  {what} … ", end="", file=sys.stderr, flush=True)
    yield
    say(f"{time.monotonic() - started_s:.1f} s")


def say(line: str) -> None:
    """Prints for the person at the keyboard."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
