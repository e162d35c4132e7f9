"""Whoever can be written to comes through; whoever cannot is a line with a reason, and the others go on."""

import time
import tracemalloc
from itertools import islice

import pytest

from engine.errors import SequenceError
from engine.model import Prospect
from sequences.people import BadRow, read_people


@pytest.fixture
def people(tmp_path):
    def read(text: str | bytes) -> list[Prospect | BadRow]:
        path = tmp_path / "people.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return list(read_people(path))

    return read


@pytest.fixture
def complaints(people, tmp_path):
    def read(text: str | bytes) -> list[str]:
        with pytest.raises(SequenceError) as caught:
            people(text)
        return [told.replace(str(tmp_path / "people.csv"), "people.csv") for told in caught.value.complaints]

    return read


def ida(**variables: str) -> Prospect:
    return Prospect(email="ida@acme.example", variables=variables)


@pytest.mark.parametrize(
    "text",
    [
        "email,first_name\nida@acme.example,Ida\n",
        "email,first_name\nida@acme.example,Ida",
        "email;first_name\nida@acme.example;Ida\n",
        "email\tfirst_name\nida@acme.example\tIda\n",
        "email,first_name\r\nida@acme.example,Ida\r\n",
        "email,first_name\rida@acme.example,Ida\r",
        "\ufeffemail,first_name\nida@acme.example,Ida\n",
        "\n \nemail,first_name\n\n , \nida@acme.example,Ida\n\n",
        '"E-Mail", "First Name"\n"ida@acme.example", Ida \n',
        '"email","first_name"\n"ida@acme.example","Ida"\n',
        "FIRST-NAME,Email Address\nIda, ida@acme.example \n",
        'mail;"First  Name"\nida@acme.example;Ida\n',
        "email,first_name,company\nida@acme.example,Ida\n",
        "email,first_name,company\nida@acme.example,Ida,\n",
        "email,first_name\nida@acme.example,Ida,,\n",
        "email,first_name,\nida@acme.example,Ida,\n",
        "email;first_name;;\nida@acme.example;Ida\n",
        "sep=;\nemail;first_name\nida@acme.example;Ida\n",
        "\ufeffsep=,\r\nemail,first_name\r\nida@acme.example,Ida\r\n",
        '"sep=\t"\nemail\tfirst_name\nida@acme.example\tIda\n',
    ],
)
def test_however_a_spreadsheet_writes_it_ida_is_ida(people, text):
    assert people(text) == [ida(first_name="Ida")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_letters_survive_old_and_new_encodings(people, encoding):
    text = "email,first_name,company\nida@acme.example,Bjørn,Smørås – Café €\n"
    assert people(text.encode(encoding)) == [ida(first_name="Bjørn", company="Smørås – Café €")]


def test_an_encoding_is_not_judged_by_its_first_page_alone(people):
    rows = "".join(f"a{n}@acme.example,{'Ida' * 100}\n" for n in range(5_000))
    found = people(("email,first_name\n" + rows + "bo@acme.example,Bjørn\n").encode("latin-1"))
    assert found[-1] == Prospect(email="bo@acme.example", variables={"first_name": "Bjørn"})


def test_the_delimiter_is_what_the_header_says_and_not_what_the_rows_contain(people):
    assert people("email;note\nida@acme.example;a,b,c,d\n") == [ida(note="a,b,c,d")]
    assert people('"email";" note"\nida@acme.example;a,b\n') == [ida(note="a,b")]
    assert people("email\nida@acme.example\n") == [ida()]


def test_quotes_may_hold_delimiters_quotes_and_lines(people):
    text = 'email,note\nida@acme.example,"Says ""hi"",\r\nand more"\nbo,x\n'
    assert people(text) == [
        ida(note='Says "hi",\nand more'),
        BadRow(4, "bo", "'bo' is no e-mail address: An email address must have an @-sign."),
    ]


def test_bad_rows_are_told_and_the_rest_goes_on(people):
    text = (
        "email,first_name\n"
        "ida@acme.example,Ida\n"  # 2
        ",Bo\n"
        "\n"
        "bo@acme.example,Bo,Bo AS\n"  # 5
        "IDA@Acme.Example,Ida again\n"
        "kim@acme.example,Ki\x00m\n"
        "li\x1bm@acme.example,Lim\n"
        f"{'m' * 300}@acme.example,May\n"  # 9
        '"nan@acme.example,Nan\n'
        'odd@acme.example","Odd" Nordmann\n'  # 11
        '"per@acme.example",Per\n'
    )
    assert people(text) == [
        ida(first_name="Ida"),
        BadRow(3, "", "no e-mail address"),
        BadRow(
            5, "bo@acme.example", "3 cells under 2 columns. Put quotes around text with a delimiter in it"
        ),
        BadRow(6, "IDA@acme.example", "already in line 2"),
        BadRow(7, "kim@acme.example", "an unreadable character (U+0000). Delete it"),
        BadRow(8, "li?m@acme.example", "an unreadable character (U+001B). Delete it"),
        BadRow(9, "m" * 254, "an e-mail address has at most 254 characters"),
        BadRow(
            10,
            "",
            'quotes in the wrong place. Write "" for a quote inside quotes. Lines 10 to 11 are left out',
        ),
        Prospect(email="per@acme.example", variables={"first_name": "Per"}),
    ]


@pytest.mark.parametrize(
    "address",
    [
        "ida",
        "ida@",
        "@acme.example",
        "ida@acme",
        "a b@acme.example",
        "ida@acme.example\nBcc: b@acme.example",
        "Ida <ida@acme.example>",
        "a@acme.example, b@acme.example",
        "ida@-acme.example",
        "=cmd()@",
        "idå@acme.example",
    ],
)
def test_what_is_no_address_is_no_prospect(people, address):
    (only,) = people(f'email\n"{address}"\n')
    assert isinstance(only, BadRow)
    assert only.line == 2
    assert "is no e-mail address: " in only.reason
    assert "\n" not in only.reason + only.email


def test_an_address_that_could_not_be_read_may_come_again(people):
    first, second = people("email,name\nida@acme.example,x,y\nida@acme.example,Ida\n")
    assert isinstance(first, BadRow)
    assert second == ida(name="Ida")


def test_one_broken_byte_spoils_one_row_where_the_file_says_it_is_utf8(people):
    text = b"\xef\xbb\xbfemail,name\nida@acme.example,Bj\xf8rn\nbo@acme.example,Bj\xc3\xb8rn\n"
    first, second = people(text)
    assert first == BadRow(2, "ida@acme.example", "an unreadable character (U+DCF8). Delete it")
    assert second == Prospect(email="bo@acme.example", variables={"name": "Bjørn"})


@pytest.mark.parametrize(
    "rest",
    ["", "kim@acme.example\n" * 50_000, 'kim@acme.example,"Kim" 5\n', 'kim@acme.example,Kim"x\n'],
    ids=["end", "long file", "even", "another quote"],
)
def test_after_a_quote_without_a_partner_nobody_is_guessed(people, rest):
    """What follows may be the rest of a note, and an address in a note is nobody's wish to be written to."""
    found = people('email,note\nida@acme.example,Hello\nbo@acme.example,"He said:\n' + rest)
    reason = "a quote has no partner. All from line 3 on is left out: mend it, and read the file again"
    if rest.count('"') % 2:
        reason = 'quotes in the wrong place. Write "" for a quote inside quotes. Lines 3 to 4 are left out'
    assert found == [ida(note="Hello"), BadRow(3, "", reason)]


def test_a_note_longer_than_any_field_names_nobody(people):
    note = "write to kim,\nkim@acme.example\n" * 10_000
    (only,) = people(f'email,note\nbo@acme.example,"{note}"\n')
    assert isinstance(only, BadRow)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('bo@acme.example,"' + "x" * 200_000 + '"', "a field has more than 131,072 letters"),
        ("bo@acme.example," + "x" * 200_000, "a field has more than 131,072 letters"),
        ("x" * 3_000_000, "too long for a row"),
        ('"' + "x" * 3_000_000 + '"', "too long for a row"),
    ],
    ids=["quoted field", "field", "line", "quoted line"],
)
def test_what_is_too_long_is_a_bad_row_and_not_the_end(people, row, reason):
    assert people(f"email,name\n{row}\nida@acme.example,Ida\n") == [
        BadRow(2, "", reason),
        ida(name="Ida"),
    ]


def test_a_row_of_endless_lines_is_not_gathered_in_memory(people):
    field = '"' + ("y" * 1000 + "\n") * 100 + '"'
    first = people("email,name\n" + ",".join([field] * 40) + "\n")[0]
    assert isinstance(first, BadRow)
    assert first.line == 2


HEADERS = {
    "": "people.csv  is empty. Begin with a header, like email,first_name,company.",
    "\ufeff": "people.csv  is empty. Begin with a header, like email,first_name,company.",
    "\n\n , \n": "people.csv  is empty. Begin with a header, like email,first_name,company.",
    "ida@acme.example,Ida\n": (
        "people.csv:1  no header. Begin with a line of column names, like email,first_name,company."
    ),
    "\nname,city\nIda,Oslo\n": 'people.csv:2  no column "email". Found: name, city.',
    "email,name,E-Mail\n": 'people.csv:1  columns 1 and 3 are both "email". Rename one, or delete it.',
    "email,First Name,first-name\n": 'people.csv:1  columns 2 and 3 are both "first_name". Rename one, or delete it.',
    "email,,name\n": "people.csv:1  column 2 has no name. Write one, or delete the column.",
    "email,Größe (cm)\n": (
        "people.csv:1  column 2: 'Größe (cm)' is no name for a variable. Write it like \"grosse_cm\"."
    ),
    "email,2nd\n": "people.csv:1  column 2: '2nd' is no name for a variable. Write it like \"column_2nd\".",
    "email,???\n": "people.csv:1  column 2: '???' is no name for a variable. Write it like \"column\".",
    "email,a\0b\n": "people.csv:1  column 2: 'a\\x00b' is no name for a variable. Write it like \"a_b\".",
    '"email,name\n': "people.csv:1  the header cannot be read: a quote has no partner.",
    "x" * 2_000_000: ("people.csv:1  the header cannot be read: too long for a row."),
    "email" + ",a" * 1000: "people.csv:1  1,001 columns. 1000 are the most.",
}


@pytest.mark.parametrize(("text", "expected"), HEADERS.items(), ids=range(len(HEADERS)))
def test_a_header_that_is_none_is_told_with_what_would_be_right(complaints, text, expected):
    assert complaints(text) == [expected]


def test_all_mistakes_in_a_header_are_told_at_once(complaints):
    assert complaints("name,Größe,name\n") == [
        "people.csv:1  column 2: 'Größe' is no name for a variable. Write it like \"grosse\".",
        'people.csv:1  columns 1 and 3 are both "name". Rename one, or delete it.',
        'people.csv:1  no column "email". Found: name, größe, name.',
    ]


def test_utf16_is_told_how_to_be_saved(complaints):
    assert complaints("email\tname\n".encode("utf-16")) == ["people.csv  is UTF-16. Save it as CSV UTF-8."]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_known_without_its_mark_too(complaints, encoding):
    assert complaints("email,name\n".encode(encoding)) == ["people.csv  is UTF-16. Save it as CSV UTF-8."]


def test_a_workbook_under_another_name_is_told_how_to_be_saved(complaints):
    for start in (b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"):
        assert complaints(start + bytes(500)) == ["people.csv  is a workbook. Save it as CSV UTF-8."]


def test_behind_a_hint_about_the_delimiter_lines_are_those_of_the_file(people, complaints):
    assert people("sep=;\nemail;name\nx;Ida\n")[0].line == 3
    assert complaints("sep=;\nemail;\x41 b?;c\n")[0].startswith("people.csv:2  column 2")
    assert complaints("sep=;\n") == [
        "people.csv  is empty. Begin with a header, like email,first_name,company."
    ]


def test_a_list_that_is_not_there_is_told_before_anybody_asks_for_a_row(tmp_path):
    for path, words in {tmp_path / "no.csv": "is not there", tmp_path: "is a folder"}.items():
        with pytest.raises(SequenceError, match=words):
            read_people(path)


def test_a_header_alone_is_a_list_of_nobody(people):
    assert people("email,first_name\n") == []


def test_a_long_list_is_read_as_it_is_needed(tmp_path):
    path = tmp_path / "people.csv"
    filler = "x" * 5000
    path.write_text("email,note\n" + "".join(f"ida{n}@acme.example,{filler}\n" for n in range(4_000)))
    tracemalloc.start()
    try:
        rows = read_people(path)
        assert sum(1 for _ in islice(rows, 3_000)) == 3_000
        assert tracemalloc.get_traced_memory()[1] < 8_000_000  # the file has 20 million bytes
        rows.close()
    finally:
        tracemalloc.stop()


def test_fifty_thousand_people_take_seconds(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("email,name\n" + "".join(f"ida{n}@acme.example,Ida\n" for n in range(50_000)))
    started = time.process_time()

    assert sum(isinstance(found, Prospect) for found in read_people(path)) == 50_000
    assert time.process_time() - started < 10
