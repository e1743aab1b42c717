"""Bad inputs, one after the other, on both databases: each has a clear answer, and nothing accepted is lost."""

import itertools
from collections.abc import Iterator

import httpx
import pytest

from beckon.web import bodies
from tests.doors.api.served import Served, serving
from tests.faults.bad_inputs import BODY_MAX, PROVIDERS, ROWS, Hands, Row

FILES = {
    "mappings/endless.yaml": """\
mapping: endless
source: s
event: |
  ( $f := function($x) { $f($x) }; $f(1) )
""",
    "mappings/nonsense.yaml": "mapping: nonsense\nsource: s\nevent: '7'\n",
}


class Keeper:
    """Lets a good event through after each bad input, and knows everything that was accepted."""

    def __init__(self, served: Served, client: httpx.Client) -> None:
        self.served = served
        self.client = client
        self.kept: list[tuple[int, str]] = []
        self._numbers = itertools.count(1)

    def lets_through(self) -> None:
        """A good event is accepted, its contact is reached, and its run waits."""
        number = next(self._numbers)
        visit = f"good-{number}"
        phone = f"+32479{number:06d}"
        fields = {"visit": visit, "slug": "s", "contact": {"name": "Ann", "phone": phone}}
        accepted = self.client.post(
            "/v1/events", json={"type": "visit.start", "id": visit, "source": "keeper", "data": fields}
        )
        assert accepted.status_code == 202, accepted.text
        self.kept.append((accepted.json()["position"], visit))
        self.served.settle()
        assert self.served.sms.sent[-1].to == phone

    def lost_nothing(self) -> None:
        """Everything that was ever accepted is there, and its run waits for its end."""
        found: list[tuple[int, str]] = []
        after = 0
        while True:
            query = {"source": "keeper", "after": after, "limit": 200}
            page = self.client.get("/v1/events", params=query).json()
            found += [(event["position"], event["id"]) for event in page["items"]]
            if not page["items"]:
                break
            after = page["next"]
        assert found == self.kept
        waiting: list[str] = []
        after_run = ""
        while True:
            page = self.client.get(
                "/v1/runs", params={"flow": "visit", "status": "waiting", "after": after_run, "limit": 200}
            ).json()
            waiting += [run["key"] for run in page["items"]]
            after_run = page["next"] or ""
            if not after_run:
                break
        assert {visit for _, visit in self.kept} <= set(waiting)
        failed = self.client.get("/v1/events", params={"type": "event.failed"}).json()["items"]
        assert failed == [], "the wheel passed over something that a door had accepted"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on each kind of database."""
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        url = server.url(server.create_database())
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, database_url=url, more=PROVIDERS, body_size_bytes_max=BODY_MAX, files=FILES) as running:
        yield running


@pytest.fixture(scope="module")
def keeper(served: Served) -> Keeper:
    return Keeper(served, served.client(label="keeper"))


@pytest.fixture(scope="module")
def hands(served: Served) -> Hands:
    return Hands(served, served.client(label="bad"))


def test_the_table_is_long_and_its_names_tell_the_rows_apart():
    assert len(ROWS) >= 70
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_bad_input_has_a_clear_answer_and_harms_nobody(
    row: Row, hands: Hands, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
):
    if row.code == "request.slow":  # the others have their minute
        monkeypatch.setattr(bodies, "WHOLE_S", 0.3)
    answer = row.send(hands)
    assert answer.status == row.status, answer.body[:500]
    if row.code is not None:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["code"], problem.get("field")) == (row.code, row.field), problem
        assert problem["status"] == row.status
        assert len(problem["detail"]) > 10
        assert problem["type"] == f"/docs/errors#{row.code}"
    row.check(answer, hands)
    keeper.lets_through()


def test_after_all_of_them_nothing_is_lost(hands: Hands, keeper: Keeper):
    for row in ROWS[:5]:
        row.send(hands)
        keeper.lets_through()
    keeper.lost_nothing()
