"""A CSV file of members, as spreadsheets write it: what is taken, and what is wrong in which line."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beckon.journeys.loyalty_offers.importing.command import lines_of
from beckon.journeys.loyalty_offers.importing.rows import (
    LINE_BYTES_MAX,
    RECORD_LINES_MAX,
    FileProblem,
    GoodRow,
    Row,
    Rows,
    WrongRow,
)


def read(text: str | bytes) -> list[Row]:
    return list(Rows(lines_of(io.BytesIO(text.encode() if isinstance(text, str) else text))))


def test_a_row_becomes_a_sign_up():
    (row,) = read(
        "external_id,external_id_type,email,first_name,last_name,phone,locale,opted_in,dob,points,tier,tags,custom.shoe\n"
        '4711,crm,amanda@example.com,Amanda,"O\'Neil, Jr.",+32470123456,nl-BE,yes,1990-02-03,1200,gold,vip|fries,41\n'
    )
    assert isinstance(row, GoodRow)
    assert row.line == 2
    assert row.member == {
        "external": {"crm": "4711"},
        "profile": {
            "email": "amanda@example.com",
            "first_name": "Amanda",
            "last_name": "O'Neil, Jr.",
            "phones": [{"number": "+32470123456"}],
            "locale": "nl-BE",
            "opted_in": True,
            "born": "1990-02-03",
            "custom": {"shoe": "41"},
        },
        "points": 1200,
        "tier": "gold",
        "tags": ["vip", "fries"],
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_spreadsheets_way_to_write_it_is_understood(delimiter: str, end: str, mark: bytes):
    lines = [
        ["Email", "First_Name"],
        ["zoë@example.com", "Zoë"],
        [],
        ["b@example.com", '"say ""hi""'.replace("hi", "hi") + '"'],
    ]
    text = end.join(delimiter.join(line) for line in lines)
    rows = read(mark + text.encode())
    assert [(row.line, row.member["profile"]) for row in rows if isinstance(row, GoodRow)] == [
        (2, {"email": "zoë@example.com", "first_name": "Zoë"}),
        (4, {"email": "b@example.com", "first_name": 'say "hi"'}),
    ]
    assert rows[-1].end == len(mark + text.encode())


def test_a_line_break_within_quotes_is_part_of_the_field_and_lines_are_counted_on():
    rows = read('email,address\na@example.com,"Rue 1\n1000 Bruxelles"\nb@example.com,x,y\n')
    assert isinstance(rows[0], GoodRow)
    assert rows[0].member["profile"]["address"] == "Rue 1\n1000 Bruxelles"
    assert (rows[1].line, rows[1].code) == (4, "import.columns")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"a@example.com,1,2", "import.columns"),
        (b"a@example.com", "import.columns"),
        (b",", "import.nobody"),
        (b"  , 5 ", "import.nobody"),
        (b"a@example.com,-5", "import.points"),
        (b"a@example.com,1.5", "import.points"),
        (b"a@example.com,1e9", "import.points"),
        (b"a@example.com,99999999999999999999999", "import.points"),
        ("a@example.com,٣".encode(), "import.points"),
        (b"jos\xe9@example.com,5", "import.encoding"),
        (b"a\0@example.com,5", "import.nul"),
        (b'"a"b@example.com,5', "import.quote"),
        (b"x" * 2001 + b"@example.com,5", "import.field_too_long"),
        (b"a@example.com,5\rb@example.com,6", "import.line_end"),
    ],
)
def test_a_row_that_cant_be_taken_says_why_and_the_next_goes_on(line: bytes, code: str):
    rows = read(b"email,points\n" + line + b"\nnext@example.com,7\n")
    assert isinstance(rows[0], WrongRow)
    assert (rows[0].line, rows[0].code) == (2, code)
    assert isinstance(rows[1], GoodRow)
    assert rows[1].line == 3


def test_what_is_neither_yes_nor_no_is_no_consent():
    rows = read("email,opted_in\na@b.be,maybe\nb@b.be,NO\nc@b.be,\nd@b.be,Oui\n")
    assert rows[0].code == "import.opted_in"  # type: ignore[union-attr]
    said = [row.member["profile"].get("opted_in") for row in rows if isinstance(row, GoodRow)]
    assert said == [False, None, True]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        (b"", 1, "import.header"),
        (b"\n\n", 1, "import.header"),
        (b'"email\n', 1, "import.header"),
        ("email,points\na@b.be,1\n".encode("utf-16"), 1, "import.encoding"),
        (b"\xe9mail\n", 1, "import.encoding"),
        (b"email,shoe\n", 1, "import.column_unknown"),
        (b"email,custom.\n", 1, "import.column_unknown"),
        (b"email,Email\n", 1, "import.column_twice"),
        (b"first_name,last_name\nA,B\n", 1, "import.column_missing"),
        (b"email," + b"custom.x," * 130 + b"\n", 1, "import.header"),
        (b'email,points\na@b.be,1\n"b@b.be,2\nc@b.be,3\n', 3, "import.quote"),
        (b'email\n"a\n' + b"x\n" * RECORD_LINES_MAX + b'"\n', 2, "import.quote"),
        (b"email\na@b.be\n" + b"x" * (LINE_BYTES_MAX + 1) + b"\n", 3, "import.line_too_long"),
        (b"x" * (3 * LINE_BYTES_MAX), 1, "import.line_too_long"),
    ],
)
def test_a_file_that_cant_be_read_on_says_in_which_line_and_why(text: bytes, line: int, code: str):
    with pytest.raises(FileProblem) as raised:
        read(text)
    assert (raised.value.line, raised.value.code) == (line, code)


def test_an_error_file_is_itself_a_file_to_import():
    (row,) = read("line,code,why,email,points\n17,import.points,no number,a@b.be,7\n")
    assert isinstance(row, GoodRow)
    assert row.member == {"profile": {"email": "a@b.be"}, "points": 7}


@given(st.binary(max_size=400))
def test_no_bytes_whatever_break_the_reader(text: bytes):
    try:
        rows = read(b"email,address\n" + text)
    except FileProblem as problem:
        rows = [WrongRow(problem.line, 0, (), problem.code, problem.why)]
    assert all(2 <= row.line <= text.count(b"\n") + text.count(b"\r") + 2 for row in rows)
