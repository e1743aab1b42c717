"""What lies in the repository: committed files and those about to be."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "beckon"


@cache
def files() -> list[Path]:
    """Every file that git keeps or would keep; all that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


def modules() -> list[Path]:
    """Every Python file of the package."""
    return [path for path in files() if path.suffix == ".py" and path.is_relative_to(PACKAGE)]


def short(path: Path) -> str:
    """A path as a person says it."""
    return str(path.relative_to(ROOT))
