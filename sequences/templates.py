"""The files beside a sequence: words for its mails, and what is attached to them. Nothing outside its folder is opened."""

import re
from hashlib import sha256
from mimetypes import guess_type
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from engine.errors import SequenceError
from engine.sequence import MOST_VARIANTS, Enclosed, Sequence
from sequences.keys import check_key
from sequences.page import Page, Unreadable, check_characters, decoded, open_regular, try_to_open
from sequences.places import every_step, where
from sequences.tree import Node, read_tree

LARGEST_TEMPLATE = 256 * 1024
LARGEST_ATTACHMENT = 10 * 1024 * 1024
_ALONE = "lies nowhere: only a sequence that is a file has files beside it"
_LEAVES = "leaves the folder of the sequence. Name a file that lies beside it"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_LINE = r"---[ \t]*(?:\r\n|\r|\n|\Z)"
_OPENS = re.compile(rf"(\s*){_LINE}")
_ALMOST = re.compile(
    r"\s*(?:[^\w\s]{2,}[ \t]*[\r\n]+)?[ \t]*subject[ \t]*:[^\r\n]*[\r\n]+(?:[^\r\n]*[\r\n]+){0,3}?[ \t]*[^\w\s]{2,}[ \t]*(?:[\r\n]|\Z)"
)
_CLOSES = re.compile(rf"(?<=[\r\n]){_LINE}")
_HINT = 'Write subject: …, or leave out the lines with "---"'

Words = dict[str, Node]  #: what a template holds: a body, and a subject if it has one


class Shelf:
    """The folder of a sequence, or none."""

    def __init__(self, folder: Path | None) -> None:
        self.pages: list[Page] = []
        self.broken: list[str] = []  #: complaints about files that are not even text
        self.enclosed: dict[str, Enclosed] = {}  #: what is attached, by its name
        self._folder = folder
        self._read: dict[Path, Words] = {}

    def fill_in(self, root: Node) -> None:
        """Put the words of every template into its step: what is kept of a sequence needs no files any more."""
        for step in list(every_step(root)):
            keys = step.node.keys
            if "template" in keys and "body" not in keys:
                self._fill_step(keys, where((*step.place, "template"), root))
            for number, name in enumerate(keys["attachments"].entries if "attachments" in keys else ()):
                self._check_attachment(name, where((*step.place, "attachments", number), root))

    def _fill_step(self, keys: dict[str, Node], place: str) -> None:
        template, variants = keys["template"], keys.get("variants")
        if not template.text:
            if variants:
                variants.spoiled = True
            return  # what is wrong with it is told by its shape
        del keys["template"]
        if variants is None:
            keys |= self._words(template, template.text, place)
        elif len(variants.keys) > MOST_VARIANTS:
            variants.spoiled = True
            variants.complain(f"{place}: too many variants. {MOST_VARIANTS} are the most")
        elif variants.keys:
            variants.value = [
                self._variant(template, name, weight, place) for name, weight in variants.keys.items()
            ]
        elif variants.value is not None and not variants.spoiled:
            variants.spoiled = True
            variants.complain(f"{place}: variants beside it are names and weights, like {{ a: 50, b: 50 }}")

    def _variant(self, template: Node, name: str, weight: Node, place: str) -> Node:
        """`opener.a.md` beside `opener.md`, as if it stood in a list."""
        start, end = weight.at, weight.at + len(name)
        words = {"id": Node(page=weight.page, start=start, end=end, at=start, value=name), "weight": weight}
        path = PurePosixPath(template.text or "")
        if not _NAME.fullmatch(name):
            words |= _lost(template)  # the name is what is wrong, not a file of that name
        elif path.name in ("", ".."):
            words |= self._words(template, str(path), place)
        else:
            beside = str(path.with_name(f"{path.stem}.{name}{path.suffix}"))
            words |= self._words(template, beside, place, told=weight)
        return Node(page=weight.page, start=start, end=weight.end, at=start, value=words)

    def _words(self, template: Node, name: str, place: str, told: Node | None = None) -> Words:
        """Complains where the file is named: beside a template, by the key of a variant."""
        try:
            path = self._find(name)
            if path not in self._read:
                self._read[path] = _lost(template)
                self._read[path] = self._take(path, name)
            return self._read[path]
        except Unreadable as error:
            (told or template).complain(f'{place}: "{name}" {error}')
        except SequenceError as error:
            self.broken += error.complaints
        return _lost(template)

    def _find(self, name: str) -> Path:
        """Where it really lies. Raises Unreadable unless that is in the folder."""
        if self._folder is None:
            raise Unreadable(_ALONE)
        path = PurePosixPath(name)
        parts = PureWindowsPath(name)  # it knows both signs between folders
        if path.is_absolute() or parts.drive or parts.root or ".." in parts.parts:
            raise Unreadable(_LEAVES)
        if "\\" in name:
            raise Unreadable('has a "\\" in it. Write "/" between folders')
        try:
            home, found = self._folder.resolve(), (self._folder / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a NUL
            raise Unreadable(f"cannot be read: {error}") from error
        if not found.is_relative_to(home):
            raise Unreadable(_LEAVES)
        return found

    def _take(self, path: Path, name: str) -> Words:
        """Raises Unreadable, and SequenceError for what is no text."""
        shown = str((self._folder or Path()) / name)
        with try_to_open(path) as file:
            text = decoded(_bytes(file, LARGEST_TEMPLATE + 1), shown, LARGEST_TEMPLATE)
        page = Page(text, shown)
        self.pages.append(page)
        check_characters(page)
        return _understand(page)

    def _check_attachment(self, name: Node, place: str) -> None:
        if not name.text:
            return
        try:
            with try_to_open(self._find(name.text)) as file:
                content = _bytes(file, LARGEST_ATTACHMENT + 1)
            if len(content) > LARGEST_ATTACHMENT:
                raise Unreadable("is larger than 10 MiB. Send a link to it")
            self.enclosed[name.text] = _enclosed(name.text, content)
        except Unreadable as error:
            name.complain(f'{place}: "{name.text}" {error}')


def read_attachments(path: Path, sequence: Sequence) -> dict[str, bytes]:
    """What is in the files that this sequence attaches, by their SHA-256. Raises SequenceError if one has changed."""
    found = {}
    for name, enclosed in sequence.enclosed.items():
        with open_regular(path.parent / name) as file:
            content = file.read(LARGEST_ATTACHMENT + 1)
        if _enclosed(name, content) != enclosed:
            raise SequenceError(f"{path.parent / name}  has changed this very moment. Try again.")
        found[enclosed.sha] = content
    return found


def _enclosed(name: str, content: bytes) -> Enclosed:
    kind, packed = guess_type(name)
    return Enclosed(
        content_type=kind if kind and not packed else "application/octet-stream",
        sha=sha256(content).hexdigest(),
        size=len(content),
    )


def _bytes(file: BinaryIO, most: int) -> bytes:
    try:
        return file.read(most)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


def _lost(template: Node) -> Words:
    """In the place of words that cannot be had: nobody complains that they are missing, too."""
    at = template.at
    return {
        key: Node(page=template.page, start=at, end=at, at=at, value=None, spoiled=True)
        for key in ("subject", "body")
    }


def _understand(page: Page) -> Words:
    """Between two lines of `---` the subject, below them the words."""
    opens = _OPENS.match(page.text)
    if not opens and _ALMOST.match(page.text):
        at = len(page.text) - len(page.text.lstrip())
        page.complain(
            at, 'the front matter stands between two lines of three dashes. Write "---" above and below it'
        )
        return {key: _body(page, 0, spoiled=True) for key in ("subject", "body")}
    if not opens:
        return {"body": _body(page, 0)}
    closes = _CLOSES.search(page.text, opens.end())
    if not closes:
        page.complain(
            opens.end(1), 'this "---" begins the front matter, and no other ends it. Write "---" below it'
        )
        return {key: _body(page, 0, spoiled=True) for key in ("subject", "body")}
    body = _body(page, closes.end())
    page.blank(0, opens.end())
    front = read_tree(page, closes.start(), _HINT)
    if front is None or front.lost or not isinstance(front.value, dict):
        if front is not None and not front.lost:
            page.complain(front.start, 'the front matter should be lines like "key: value"')
        return {"subject": _body(page, 0, spoiled=True), "body": body}
    for key in list(front.keys):
        if key != "subject":
            check_key(front, key, ["subject"], [])
    return front.keys | {"body": body}


def _body(page: Page, start: int, *, spoiled: bool = False) -> Node:
    said = page.text[start:].replace("\r\n", "\n").replace("\r", "\n")
    return Node(page=page, start=start, end=len(page.text), at=start, value=said, below=0, spoiled=spoiled)
