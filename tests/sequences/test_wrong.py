"""A folder of wrong files: each says in its first lines what must be told of it, and nothing else may be.

`# expect: 9:5 words` is a complaint about line 9, column 5 that begins with these words; `# expect: beside.md:2:1 words` is
one about a file beside it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import SequenceError
from sequences.loader import load

WRONG = Path(__file__).parent / "wrong"
ROOT = Path(__file__).parents[2]
HEAD = "name: Bomb\nfrom: sam@acme.example\n"
STEPS = "steps:\n  - subject: Hi\n    body: Hello\n"
ROOM = 300 * 1024 * 1024  #: bytes that a process may have
PATIENCE = 20  #: seconds, on a machine that is busy with other things


def expected(file: Path) -> list[str]:
    told = []
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith("# expect: "):
            break
        place, _, words = line.removeprefix("# expect: ").partition(" ")
        told.append(f"{place if '.md:' in place else f'{file.name}:{place}'}  {words}")
    return told


@pytest.mark.parametrize("name", sorted(file.stem for file in WRONG.glob("*.yaml")))
def test_a_wrong_file_is_told_what_is_wrong_with_it_and_nothing_else(name, monkeypatch):
    monkeypatch.chdir(WRONG)

    with pytest.raises(SequenceError) as caught:
        load(Path(f"{name}.yaml"))

    wanted = expected(WRONG / f"{name}.yaml")
    assert wanted
    assert [line[: len(words)] for line, words in zip(caught.value.complaints, wanted, strict=True)] == wanted


def test_nothing_in_the_folder_of_templates_lies_there_unused():
    used = "".join(file.read_text("utf-8") for file in WRONG.glob("*.yaml"))
    beside = {file.name for file in (WRONG / "files").iterdir()}

    assert {name for name in beside if name not in used} == {"many.a.md", "many.b.md"}


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def _merges(levels: int) -> str:
    lines = ["a0: &a0 { x: y }"]
    lines += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "laughs": (_laughs(12), '1:5  "&a0" is an anchor.'),
    "merges": (_merges(12), '1:5  "&a0" is an anchor.'),
    "deep": ("[" * 100_000, "1:21  nested more than 20 deep."),
    "many entries": (
        HEAD + STEPS + "".join(f"k{n}: v\n" for n in range(90_000)),
        "too much for one sequence",
    ),
    "many mistakes": (
        HEAD + STEPS + "".join(f"stepz{n}: v\n" for n in range(4_900)),
        '6:1  unknown key "stepz0". Did you mean "steps"?',
    ),
    "a long word": (
        HEAD + "defaults: { a: " + "x" * 1_000_000 + " }\n" + STEPS,
        "3:13  defaults.a is too long. 10,000 characters are the most.",
    ),
    "zeros": ("\0" * 1_000_000, "1:1  this is not UTF-8. Save the file as UTF-8."),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_little_room(name, tmp_path):
    text, words = BOMBS[name]
    (tmp_path / "bomb.yaml").write_text(text, "utf-8")
    program = (
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, ({ROOM}, {ROOM}));"
        "sys.argv = ['relent', 'check', 'bomb.yaml']; runpy.run_module('relent', run_name='__main__')"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert words in done.stderr
