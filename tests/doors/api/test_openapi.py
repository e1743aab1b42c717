"""The OpenAPI document is fresh, and what it promises is held: schemathesis finds nothing."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from beckon.doors.api.openapi import document, document_text
from beckon.doors.api.table import OPERATIONS
from beckon.journeys.journey import described
from beckon.journeys.journey import found as found_journeys
from beckon.web.operations import Operation
from tests.doors.api.served import Served, serving
from tests.house.repository import ROOT

#: How many requests schemathesis makes up for each operation, beside the boundaries that it always tries.
EXAMPLES = 25
#: The same for what the journeys add.
EXAMPLES_MORE = 8

PROGRAMME = {
    "programme/programme.yaml": 'programme: fries\npoints: 10\ncategories: { fries: ["*-fries"] }\n',
    "offers/snack-box.yaml": "offer: snack-box\ntitle: Snack box\ndiscount: { amount: 2 }\nvalid: 30d\nprice: 1\n",
    "campaigns/fries.yaml": "campaign: fries\ntitle: Fries\ngives: { points: 5 }\n",
    "campaigns/everybody.yaml": "campaign: everybody\ntitle: All\non: round\ngives: { offer: snack-box }\n",
    "campaigns/box.yaml": "campaign: box\ntitle: A box\non: code\ncode_list: boxes\ngives: { offer: snack-box }\n",
}

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


#: What the journeys add.
MORE = described(found_journeys())
EVERY = (*OPERATIONS, *MORE)


def test_the_committed_document_is_fresh():
    committed = (ROOT / "docs" / "openapi.json").read_text()
    assert committed == document_text(MORE), "run: beckon openapi > docs/openapi.json"


def test_the_server_serves_the_document(served: Served):
    answer = served.bare_client().get("/openapi.json")
    assert (answer.status_code, answer.json()) == (200, document(MORE))


def test_every_operation_has_words_and_its_problems():
    names = [operation.name for operation in EVERY]
    assert len(names) == len(set(names))
    for path, methods in document(MORE)["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            assert "Scope: `" in operation["description"], (path, method)
            assert {"401", "403", "503"} <= operation["responses"].keys(), (path, method)


def test_every_reference_leads_somewhere():
    text = document_text(MORE)
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    schemas = document(MORE)["components"]["schemas"]
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


def members(served: Served) -> dict[str, list[str]]:
    """Something of everything of the loyalty programme."""
    client = served.client()

    def said(method: str, path: str, body: Any = None) -> Any:
        answer = client.request(method, f"/v1/loyalty/{path}", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    ids, offers = [], []
    for number in range(3):
        body = {"profile": {"email": f"m{number}@example.com", "first_name": "Ann"}, "external": {"crm": f"x{number}"}}
        member = said("POST", "members", body)["id"]
        ids.append(member)
        said("POST", f"members/{member}/points", {"points": 1_000})
        offers += [said("POST", f"members/{member}/offers", {"offer": "snack-box"})["offer"] for _ in range(2)]
        sale = {"member": member, "modified": "2026-11-20T12:00:00Z", "items": [{"item": "curly-fries", "price": 9}]}
        said("PUT", f"sales/S{number}", sale)
    said("POST", "codes", {"list": "boxes", "codes": ["ABCD-1"]})
    said("POST", "campaigns/everybody/rounds")
    served.settle()
    return {
        "member": ids,
        "offer": offers,
        "sale": ["S0", "S1", "S2"],
        "name": ["snack-box", "everybody", "fries"],
    }


@pytest.mark.timeout(1200)
def test_schemathesis_finds_nothing(tmp_path: Path):
    """All checks, on a server of its own that nothing else writes to."""
    with serving(tmp_path / "workspaces") as served:
        tested = schemathesis(
            tmp_path, served, seeded(served), EXAMPLES, "--exclude-path-regex", "|".join(_roots(MORE)) or "^$"
        )
    assert tested == len(OPERATIONS)


@pytest.mark.timeout(1200)
def test_schemathesis_finds_nothing_in_what_the_journeys_add(tmp_path: Path):
    """All checks; fewer examples, and no chains of requests: they double what is there already."""
    with serving(tmp_path / "workspaces", files=PROGRAMME) as served:
        tested = schemathesis(
            tmp_path,
            served,
            members(served),
            EXAMPLES_MORE,
            *("--include-path-regex", "|".join(_roots(MORE)), "--phases", "examples,coverage,fuzzing"),
        )
    assert tested == len(MORE) > 0


def _roots(operations: Sequence[Operation]) -> list[str]:
    """``^/v1/loyalty/``: under which paths these operations stand."""
    return sorted({"^" + "/".join(one.path.split("/")[:3]) + "/" for one in operations})


def schemathesis(tmp_path: Path, served: Served, found: dict[str, list[str]], examples: int, *options: str) -> int:
    """Run it; how many operations it tested. Fails where it finds something."""
    config = tmp_path / "schemathesis.toml"
    parameters = [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.6 }}' for name in found]
    dictionaries = [f"{name} = {{ values = {json.dumps(values)} }}" for name, values in found.items()]
    config.write_text(CONFIG.format(parameters="\n".join(parameters), dictionaries="\n".join(dictionaries)))
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", config, "run", ROOT / "docs" / "openapi.json", "--url", served.url),
            *("-H", f"Authorization: Bearer {served.token()}", "--checks", "all", "--no-color"),
            *("--max-examples", str(examples), "--generation-deterministic", "--warnings", "off", *options),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1_100,
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
    assert (tested[1], tested[2]) == (tested[3], str(len(EVERY)))
    return int(tested[3])
