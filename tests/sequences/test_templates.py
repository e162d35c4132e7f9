"""The words of a mail may lie in a file beside the sequence: they become part of it, and no other file is ever opened."""

import os
from pathlib import Path

import pytest

from engine.errors import SequenceError
from engine.sequence import Sequence
from sequences.loader import load, parse
from sequences.templates import LARGEST_ATTACHMENT, LARGEST_TEMPLATE

HEAD = "name: A\nfrom: sam@acme.example\nsteps:\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def read(folder: Path, step: str, **files: str | bytes) -> Sequence:
    """A sequence of one step, with files beside it."""
    for name, said in files.items():
        data = said if isinstance(said, bytes) else said.encode()
        (folder / f"{name}.md").write_bytes(data)
    (folder / "q.yaml").write_text(f"{HEAD}  - {step}\n")
    return load(folder / "q.yaml")


def complaints(folder: Path, step: str, **files: str | bytes) -> list[str]:
    with pytest.raises(SequenceError) as caught:
        read(folder, step, **files)
    return [line.removeprefix(f"{folder}/") for line in caught.value.complaints]


def test_a_template_becomes_the_words_of_its_step(folder):
    [step] = read(folder, "template: a.md", a="---\nsubject: Hi {{ company }}\n---\nHello\n\nyou\n").steps

    assert (step.template, step.subject, step.body) == (None, "Hi {{ company }}", "Hello\n\nyou\n")


def test_a_template_without_front_matter_goes_on_in_the_same_thread(folder):
    (folder / "b.md").write_text("--- is no line of its own\n")
    sequence = read(folder, "{ subject: Hi, body: Hello }\n  - template: b.md")

    assert (sequence.steps[1].subject, sequence.steps[1].body) == (None, "--- is no line of its own\n")


def test_variants_beside_a_template_are_files_beside_it(folder):
    words = {"opener.a": "---\nsubject: One\n---\nA\n", "opener.b": "---\nsubject: Two\n---\nB\n"}
    [step] = read(folder, "{ template: opener.md, variants: { a: 30, b: 70 } }", **words).steps

    assert step.variants
    assert [(way.id, way.weight, way.subject, way.body) for way in step.variants] == [
        ("a", 30, "One", "A\n"),
        ("b", 70, "Two", "B\n"),
    ]
    assert (step.template, step.body) == (None, None)


def test_what_is_kept_of_a_sequence_needs_no_files_any_more(folder):
    sequence = read(folder, "template: a.md", a="---\nsubject: Hi\n---\nHello\n")
    (folder / "a.md").unlink()

    assert Sequence.model_validate(sequence.dump()) == sequence


def test_other_words_are_another_version(folder):
    before = read(folder, "template: a.md", a="---\nsubject: Hi\n---\nHello\n")
    after = read(folder, "template: a.md", a="---\nsubject: Hi\n---\nGood day\n")

    assert before.version != after.version


def test_words_in_a_file_and_in_the_sequence_are_the_same_words(folder):
    beside = read(folder, "template: a.md", a="---\nsubject: Hi\n---\nHello\n")
    within = parse(HEAD + "  - subject: Hi\n    body: |\n      Hello\n", "q.yaml")

    assert beside.version == within.version


@pytest.mark.parametrize(
    "said",
    [
        b"---\r\nsubject: Hi\r\n---\r\nHello\r\n",
        b"\xef\xbb\xbf---\nsubject: Hi\n---\nHello\n",
        b"---  \n# why\nsubject: 'Hi'\n---\t\nHello\n",
        b"\n\n---\nsubject: Hi\n---\nHello\n",
        b"\xef\xbb\xbf\r\n \t\r\n---\r\nsubject: Hi\r\n---\r\nHello\r\n",
        b"  ---\nsubject: Hi\n---\nHello\n",
    ],
    ids=["CRLF", "a mark", "blanks and a comment", "lines above", "a mark, CRLF and lines above", "indented"],
)
def test_how_an_editor_saves_a_template_changes_nothing(folder, said):
    plain = read(folder, "template: a.md", a=b"---\nsubject: Hi\n---\nHello\n")

    assert read(folder, "template: a.md", a=said) == plain


def test_a_template_may_lie_in_a_folder_of_the_folder(folder):
    (folder / "mails").mkdir()
    (folder / "mails" / "a.md").write_text("---\nsubject: Hi\n---\nHello\n")

    assert read(folder, "template: mails/a.md").steps[0].subject == "Hi"


def test_a_percent_sign_begins_a_line_of_a_mail_like_any_other(folder):
    (folder / "b.md").write_text("% of what?\n")

    assert read(folder, "{ subject: Hi, body: x }\n  - template: b.md").steps[1].body == "% of what?\n"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.md", "mails/../../a.md", "..", r"..\\a.md", "out.md", "way/a.md"]
)
def test_no_name_leaves_the_folder(folder, name):
    (folder.parent / "a.md").write_text("---\nsubject: Hi\n---\nsecret\n")
    (folder / "out.md").symlink_to("../a.md")
    (folder / "way").symlink_to("..")

    for key in ("template: ", "subject: Hi, body: x, attachments: "):
        [only] = complaints(
            folder, f'{{ {key}{"[" if "att" in key else ""}"{name}"{"]" if "att" in key else ""} }}'
        )
        assert "leaves the folder of the sequence" in only
        assert "secret" not in only


def test_a_link_that_stays_in_the_folder_is_followed(folder):
    (folder / "a.md").write_text("---\nsubject: Hi\n---\nHello\n")
    (folder / "b.md").symlink_to("a.md")

    assert read(folder, "template: b.md").steps[0].subject == "Hi"


def test_only_a_regular_file_is_a_template(folder):
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    for name, words in {
        "pipe": "is a pipe or a device. Name a file.",
        ".": "is a folder. Name a file.",
        "loop": "cannot be read: ",
        "q.yaml/x": "cannot be read: Not a directory.",
        "n" * 200: "is not there. Check the name and the folder.",
    }.items():
        [only] = complaints(folder, f"template: {name}")
        assert words in only


BROKEN = {
    b"x" * (LARGEST_TEMPLATE + 1): "a.md  is larger than 256 KiB. A mail is a page or two.",
    "Zürich".encode("latin-1"): "a.md:1:2  this is not UTF-8. Save the file as UTF-8.",
    b"---\nsubject: Hi\n---\nHel\0lo": "a.md:4:4  an unreadable character (U+0000). Delete it.",
    b"---\nsubject: Hi\nsubject: Ho\n---\nHello": (
        'a.md:3:1  "subject" is here twice, first in line 2. Keep one of them.'
    ),
    b"---\nsubject: {{ company }} and you\n---\nHello": (
        'a.md:2:10  text that begins with a gap needs quotes. Put quotes around it: "{{ company }} and you".'
    ),
    b"---\nsubject: Hi\n---\n"
    + b"x" * 100_001: "a.md:4:1  body is too long. 100,000 characters are the most.",
    b"---\nsubject: &a Hi\n---\nHello": (
        'a.md:2:10  "&a" is an anchor. Leave it out, or put quotes around it.'
    ),
}


@pytest.mark.parametrize(("said", "expected"), BROKEN.items(), ids=range(len(BROKEN)))
def test_what_is_wrong_in_a_template_is_told_by_its_own_name_and_line(folder, said, expected):
    assert complaints(folder, "template: a.md", a=said) == [expected]


@pytest.mark.parametrize(
    "said", ["----\nsubject: Hi\n----\nHello\n", "subject: Hi\n---\nHello\n", "\n\n***\nsubject: Hi\n***\nx"]
)
def test_front_matter_between_other_lines_is_not_sent_to_anybody(folder, said):
    [only] = complaints(folder, "{ subject: Hi, body: x }\n  - template: a.md", a=said)

    assert only.endswith(
        'the front matter stands between two lines of three dashes. Write "---" above and below it.'
    )


def test_a_rule_in_the_middle_of_a_letter_is_no_front_matter(folder):
    said = "Hello\n\nsubject: none\n\n---\n\nSam\n"

    assert read(folder, "{ subject: Hi, body: x }\n  - template: a.md", a=said).steps[1].body == said


def test_a_variant_that_is_not_there_is_told_where_it_is_named(folder):
    told = complaints(folder, "{ template: a.md, variants: { x: 1, y: 1 } }")

    assert [line.partition(", template")[0] for line in told] == [
        "q.yaml:4:35  step 1",
        "q.yaml:4:41  step 1",
    ]


def test_a_template_of_two_steps_is_told_of_once(folder):
    told = complaints(folder, "template: a.md\n  - template: a.md", a="---\nsubject: Hi\n---\nHello {{ x\n")

    assert len(told) == 1
    assert told[0].startswith("a.md:4:1  body does not parse: ")


def test_mistakes_of_the_sequence_come_first_and_then_those_of_each_template(folder):
    told = complaints(
        folder,
        "{ template: a.md, after: soon }\n  - { template: b.md, after: later }",
        a="---\nsubjct: Hi\n---\nHello\n",
        b="Hello {{ x\n",
    )

    assert [line.split("  ")[0] for line in told] == ["q.yaml:4:23", "q.yaml:5:23", "a.md:2:1", "b.md:1:1"]


def test_a_sequence_that_is_no_file_has_nothing_beside_it():
    text = HEAD + "  - template: a.md\n  - { body: x, attachments: [b.pdf] }\n"
    with pytest.raises(SequenceError) as caught:
        parse(text, "q.yaml")

    assert [line.partition("lies nowhere: ")[2] for line in caught.value.complaints] == [
        "only a sequence that is a file has files beside it."
    ] * 2


def test_an_attachment_is_there_and_not_too_large(folder):
    with (folder / "film.mov").open("wb") as file:
        file.truncate(LARGEST_ATTACHMENT + 1)
    (folder / "price.pdf").write_bytes(b"%PDF")

    step = "{ subject: Hi, body: x, attachments: [price.pdf, film.mov, nothing.pdf] }"
    assert complaints(folder, step) == [
        'q.yaml:4:54  step 1, attachments 2: "film.mov" is larger than 10 MiB. Send a link to it.',
        'q.yaml:4:64  step 1, attachments 3: "nothing.pdf" is not there. Check the name and the folder.',
    ]
    kept = read(folder, "{ subject: Hi, body: x, attachments: [price.pdf] }")
    assert kept.steps[0].attachments == ("price.pdf",)
