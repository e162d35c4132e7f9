"""The tests that sit in the files: run, and written down as CI servers read it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from xml.etree import ElementTree as ET

from engine.errors import SequenceError
from engine.trial import run
from sequences.loader import load

#: What XML 1.0 cannot hold, not even escaped.
_NOT_FOR_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One test, and what went otherwise than expected."""

    name: str
    failures: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedFile:
    """All tests of a file, or why it cannot be read."""

    path: Path
    sequence: str
    tests: tuple[Tried, ...] = ()
    complaints: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        return sum(bool(test.failures) for test in self.tests)

    @property
    def seconds(self) -> float:
        return sum(test.seconds for test in self.tests)


def try_file(path: Path) -> TriedFile:
    try:
        sequence = load(path)
    except SequenceError as error:
        return TriedFile(path=path, sequence=path.stem, complaints=error.complaints)
    tests = []
    for trial in sequence.tests:
        begun = perf_counter()
        failures = run(sequence, trial)
        tests.append(Tried(name=trial.name, failures=failures, seconds=perf_counter() - begun))
    return TriedFile(path=path, sequence=sequence.name, tests=tuple(tests))


def junit(files: Iterable[TriedFile]) -> bytes:
    """A suite a file; a file that cannot be read is an error, not a failure."""
    tried = list(files)
    root = ET.Element("testsuites", _counts(tried))
    for file in tried:
        suite = ET.SubElement(root, "testsuite", {"name": _sound(str(file.path))} | _counts([file]))
        for test in file.tests:
            case = _case(suite, file, test.name, test.seconds)
            if test.failures:
                _add(case, "failure", test.failures)
        if file.complaints:
            _add(_case(suite, file, "the file can be read", 0.0), "error", file.complaints)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _counts(files: list[TriedFile]) -> dict[str, str]:
    errors = sum(bool(file.complaints) for file in files)
    return {
        "tests": str(sum(len(file.tests) for file in files) + errors),
        "failures": str(sum(file.failed for file in files)),
        "errors": str(errors),
        "time": f"{sum(file.seconds for file in files):.3f}",
    }


def _case(suite: ET.Element, file: TriedFile, name: str, seconds: float) -> ET.Element:
    named = {"classname": _sound(file.sequence), "name": _sound(name), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", named)


def _add(case: ET.Element, kind: str, words: tuple[str, ...]) -> None:
    ET.SubElement(case, kind, {"message": _sound(words[0])}).text = _sound("\n".join(words))


def _sound(text: str) -> str:
    return _NOT_FOR_XML.sub("\ufffd", text)
