"""YAML comes in; a Sequence goes on, or every mistake at once: file, line, column, what would be right."""

from pathlib import Path

from engine.errors import SequenceError
from engine.sequence import Sequence
from sequences.keys import check_keys
from sequences.page import LARGEST, Page, check_characters, check_directives, decoded, open_regular
from sequences.references import check_references
from sequences.steps import check_kinds, check_steps
from sequences.templates import Shelf
from sequences.tree import Node, read_tree
from sequences.values import build
from sequences.words import check_words


def load(path: Path) -> Sequence:
    """A sequence and the templates beside it."""
    with open_regular(path) as file:
        data = file.read(LARGEST + 1)  # one more than allowed is enough to know
    return _read(data, str(path), Shelf(path.parent))


def parse(text: str | bytes, name: str) -> Sequence:
    """A sequence that has nothing beside it."""
    return _read(text, name, Shelf(None))


def _read(text: str | bytes, name: str, shelf: Shelf) -> Sequence:
    page = Page(decoded(text, name), name)
    check_characters(page)
    check_directives(page)
    root = read_tree(page)
    sequence = _understand(root, shelf) if root else None
    complaints = [line for each in (page, *shelf.pages) for line in each.complaints()] + shelf.broken
    if complaints or sequence is None:
        raise SequenceError(*complaints or [f"{name}  is no sequence."])
    return sequence.model_copy(update={"enclosed": shelf.enclosed}) if shelf.enclosed else sequence


def _understand(root: Node, shelf: Shelf) -> Sequence | None:
    """Each looks at what the one before has left in order, and none tells what another has told."""
    check_keys(root)
    check_kinds(root)
    shelf.fill_in(root)
    check_steps(root)
    check_references(root)
    check_words(root)
    return build(root)
