"""The OpenAPI document is fresh, and what it promises is held: schemathesis finds nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from beckon.doors.api.openapi import document, document_text
from beckon.doors.api.table import OPERATIONS
from tests.doors.api.served import Served, serving
from tests.house.repository import ROOT

#: How many requests schemathesis makes up for each operation, beside the boundaries that it always tries.
EXAMPLES = 25

CONFIG = """\
[checks.positive_data_acceptance]
# 422: well formed, but it means nothing here: a number that can't exist, a template that is not there.
# 410: the run itself has had that contact forgotten.
expected-statuses = ["2xx", "404", "409", "410", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "410", "413", "415", "422"]

[parameters]
{parameters}
[dictionaries]
{dictionaries}
"""


def test_the_committed_document_is_fresh():
    committed = (ROOT / "docs" / "openapi.json").read_text()
    assert committed == document_text(), "run: python -m beckon.doors.api.openapi > docs/openapi.json"


def test_the_server_serves_the_document(served: Served):
    answer = served.bare_client().get("/openapi.json")
    assert (answer.status_code, answer.json()) == (200, document())


def test_every_operation_has_words_and_its_problems():
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            assert "Scope: `" in operation["description"], (path, method)
            assert {"401", "403", "503"} <= operation["responses"].keys(), (path, method)


def test_every_reference_leads_somewhere():
    text = document_text()
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    schemas = document()["components"]["schemas"]
    assert wanted <= schemas.keys()
    assert schemas.keys() - wanted == set(), "schemas that nothing uses"


def seeded(served: Served) -> dict[str, list[str]]:
    """Something of everything, so that made-up requests find something: ids by the name that paths have for them."""
    client = served.client()
    for number in range(3):
        fields = {"visit": f"S{number}", "slug": "s", "contact": f"+3247600000{number}"}
        assert client.post("/v1/events", json={"type": "visit.start", "data": fields}).status_code == 202
    served.settle()

    def ids(path: str, name: str = "id") -> list[str]:
        return [str(one[name]) for one in client.get(path).json()["items"]]

    return {
        "contact": ids("/v1/contacts"),
        "run": ids("/v1/runs"),
        "delivery": ids("/v1/deliveries"),
        "position": ids("/v1/events", "position"),
        "name": ["visit", "invite", "partner", "visit.start"],
    }


@pytest.mark.timeout(240)
def test_schemathesis_finds_nothing(tmp_path: Path):
    """All checks, on a server of its own that nothing else writes to."""
    with serving(tmp_path / "workspaces") as served:
        found = seeded(served)
        config = tmp_path / "schemathesis.toml"
        parameters = [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.6 }}' for name in found]
        dictionaries = [f"{name} = {{ values = {json.dumps(values)} }}" for name, values in found.items()]
        config.write_text(CONFIG.format(parameters="\n".join(parameters), dictionaries="\n".join(dictionaries)))
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--config-file", config, "run", ROOT / "docs" / "openapi.json", "--url", served.url),
                *("-H", f"Authorization: Bearer {served.token()}", "--checks", "all", "--no-color"),
                *("--max-examples", str(EXAMPLES), "--generation-deterministic", "--warnings", "off"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
        client = served.client()
        assert client.get("/v1/health").json()["ok"] is True
        served.settle()
        failed = client.get("/v1/events", params={"type": "event.failed"}).json()["items"]
        assert failed == [], "the wheel passed over events that the API had accepted"
    tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
    assert tested is not None
    assert set(tested.groups()) == {str(len(OPERATIONS))}
