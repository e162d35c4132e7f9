"""Letters that say more than plain text can: Markdown or the author's own HTML, and the plain text beside it. Pure.

What stands in a gap is never markup. The reader of Markdown does not get to see it: each value, and whatever else must
stay as it was written, stands there as one character of Unicode's private planes until everything else is said. So the
shape of a letter is read once, however many people it goes to.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from html.parser import HTMLParser
from itertools import count

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.tree import SyntaxTreeNode as Node

from engine.errors import Refused
from engine.render import Filled, TemplateMistake, Value, outline, pieces

_VALUE, _LATER, _MOST = 0xF0000, 0x100000, 0xFFFE  # planes 15 and 16, and how many signs each of them has
_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_SIGN = re.compile("([\U000f0000-\U0010ffff])")
_KEPT = re.compile("[\U00100000-\U0010ffff]")

#: Not meant as Markdown, whatever is in it: addresses on the web and of people, and `5*4*3`.
_AS_WRITTEN = re.compile(
    r"""https?://(?:[^\s<>\[\]()"`*\\]|\([^\s<>\[\]()"`*\\]*\))*[^\s<>\[\]()"`*\\_.,;:!?']"""
    r"""|(?<![A-Za-z0-9._%+'-])[A-Za-z0-9._%+'-]++@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"""
    r"""|(?<=[0-9])\*(?=[0-9])"""
)
_BREAK = re.compile(r"\r\n?|\n")
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$&'*+,\-./:;=?@_~()%]*")
_SITE = re.compile(r"[^\s/?#:@]+(\.[^\s/?#:@]+)+(:\d+)?([/?#]|\Z)")
_PERSON = re.compile(r"[^\s/?#:@]+@[^\s/?#:@]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_UNSEEN = re.compile(r"[\x00-\x20]+")
_BODY_ENDS = re.compile(r"</body\s*>", re.IGNORECASE)
_LINKED = frozenset({"http", "https", "mailto", "tel", "cid"})
_LINKED_BY_VALUES = frozenset({"http", "https", "mailto"})


@dataclass(frozen=True, slots=True)
class Parts:
    """A letter as plain text, and once more for who sees HTML, if that shows anything that the text cannot."""

    text: str
    html: str | None


def letter_parts(body: str, variables: Mapping[str, Value], signature: str | None = None) -> Parts:
    """A body in plain text or Markdown, said to somebody.

    A body without markup goes out as it was written, and as nothing but text: such mail arrives best. Raw HTML is no
    Markdown here, nor are underlined headings, indented code, `<https://…>`, `&amp;` and `[1]: https://…`: in letters
    they are mostly meant as they stand. One item alone is no list, so that `1. January` and `- Sam` stay sentences.

    The signature follows after an empty line, without `-- `: there, many mail programs cut, and below it nobody reads.
    """
    told = [_tell(body, variables), *([_tell(signature, variables)] if signature else [])]
    if not told[0].text:
        raise Refused("the text is empty")
    told = [each for each in told if each.text]
    if not any(each.shape.marked for each in told):
        return Parts("\n\n".join(each.text for each in told) + "\n", None)
    texts = [each.without_markup() for each in told]
    if not texts[0]:
        raise Refused("the text is empty")
    return Parts("\n\n".join(texts) + "\n", "".join(each.as_html() for each in told))


def html_part(template: str, variables: Mapping[str, Value], signature: str | None = None) -> str:
    """The author's own HTML. Every value in it is escaped, and stands where it stays a value. Raises Refused."""
    said = pieces(template, variables)
    _hold_to_their_places(said)
    html = "".join(escape(piece) if isinstance(piece, Filled) else piece for piece in said).strip()
    if not html:
        raise Refused("the html is empty")
    if signature and (below := _tell(signature, variables)).text:
        ends = [found.start() for found in _BODY_ENDS.finditer(html)] or [len(html)]
        html = f"{html[: ends[-1]]}\n{below.as_html()}{html[ends[-1] :]}".strip()
    return html + "\n"


def check_html(template: str) -> None:
    """Every gap stands in text, or in quotes in a harmless attribute. Raises TemplateMistake."""
    parts = list(outline(template))
    try:
        _addresses(_skeleton([part for part, _ in parts]))
    except _Misplaced as error:
        lines = [line for part, line in parts if isinstance(part, Filled)]
        raise TemplateMistake(str(error), lines[error.gap] if error.gap < len(lines) else 1) from error
    except Refused as error:
        raise TemplateMistake(str(error), 1) from error


# --- what stands in the gaps, and what stands around them ---


@dataclass(frozen=True, slots=True)
class _Shape:
    """A letter to nobody yet. Every other part is a sign: for a value, or for what has to wait until values are known."""

    marked: bool  #: it says something that plain text cannot
    text: tuple[str, ...]
    html: tuple[str, ...]
    later: tuple[tuple[bool, str], ...]  #: the addresses of links and (False) what is said instead of images


@dataclass(frozen=True, slots=True)
class _Told:
    """A template as it was said to somebody, and what it is to whoever knows Markdown."""

    text: str  #: as it was written
    shape: _Shape
    values: Sequence[str]

    def without_markup(self) -> str:
        if not self.shape.marked:
            return self.text
        return self._filled(self.shape.text, str, " ({})".format).strip()

    def as_html(self) -> str:
        return self._filled(self.shape.html, _shown, escape)

    def _filled(
        self, parts: Sequence[str], show: Callable[[str], str], show_address: Callable[[str], str]
    ) -> str:
        said = list(parts)
        for place in range(1, len(said), 2):
            number = ord(said[place])
            if number < _LATER:
                said[place] = show(self.values[number - _VALUE])
            else:
                is_address, inner = self.shape.later[number - _LATER]
                whole = _PRIVATE.sub(lambda sign: self.values[ord(sign[0]) - _VALUE], inner)
                said[place] = show_address(_address(_harmless(whole))) if is_address else _instead(whole)
        return "".join(said)


def _tell(template: str, variables: Mapping[str, Value]) -> _Told:
    said = pieces(template, variables)
    signs: dict[str, str] = {}

    def sign(value: str) -> str:
        if value not in signs:
            signs[value] = _sign(_VALUE, len(signs))
        return signs[value]

    def signed(piece: str) -> str:
        if isinstance(piece, Filled):
            return sign(piece)
        return piece if piece.isascii() else _PRIVATE.sub(lambda own: sign(own[0]), piece)

    source = "".join(map(signed, said))
    return _Told("".join(said).strip(), _shape(source), tuple(signs))


def _sign(plane: int, number: int) -> str:
    if number >= _MOST:
        raise Refused("the text is too tangled")
    return chr(plane + number)


def _shown(value: str) -> str:
    return _BREAK.sub("<br>\n", escape(value, quote=False))


def _instead(of_image: str) -> str:
    return escape(_BREAK.sub(" ", of_image))


def _address(written: str) -> str:
    """`acme.com` and `sam@acme.com` lead nowhere in a mail. And an address has no blanks in it."""
    written = written.strip()
    if _PERSON.fullmatch(written):
        written = f"mailto:{written}"
    elif _SITE.match(written):
        written = f"https://{written}"
    return written if _PLAIN_ADDRESS.fullmatch(written) else normalizeLink(written)


def _harmless(address: str, schemes: frozenset[str] = _LINKED) -> str:
    """A value can be anybody's, and a link in our letter must not run their program."""
    squeezed = _UNSEEN.sub("", address)
    if not squeezed:
        raise Refused("a link would lead nowhere: its address is empty")
    scheme = _SCHEME.match(squeezed)
    if scheme and not _SITE.match(squeezed) and scheme[1].lower() not in schemes:
        raise Refused(f"a link would lead to {address[:60]!r}, which is no place on the web")
    return address


# --- gaps in the author's own HTML ---

#: Where a value is an address, and where it is nothing but words.
_ADDRESSES = frozenset({"href", "src", "action", "background", "cite", "poster", "xlink:href"})
_ONLY_WORDS = re.compile(
    "abbr|align|alt|bgcolor|class|color|colspan|height|id|label|lang|name|rowspan|summary|title|valign|value|width|"
    "(aria|data)-.*"
)
_CODE = frozenset({"script", "style"})
_TAG = re.compile("<[A-Za-z/!?]")
_NO_NAME = re.compile("<[A-Za-z0-9/!?]*([\U000f0000-\U0010ffff])")
_WHOLE_TAG = re.compile(r"""<!--.*?-->|<([A-Za-z/!?][^\s/>"']*)(?:[^"'>]++|"[^"]*"|'[^']*')*+>""", re.DOTALL)
_CODE_ENDS = re.compile("</(?:script|style)", re.IGNORECASE)
_NAME_OF_TAG = re.compile(r"\A<[^\s/>]*")
_ATTRIBUTE = re.compile(r"""([^\s/>=][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_PLACES = "Put it into text, or in quotes into href, src, alt, title and the like"


class _Misplaced(Refused):
    """A gap where a value would be more than a value."""

    def __init__(self, message: str, gap: int) -> None:
        super().__init__(message)
        self.gap = gap  #: counted from 0


def _hold_to_their_places(said: Sequence[str]) -> None:
    """What a value may not become: a command, an attribute, or a link to anywhere but the web."""
    values = [piece for piece in said if isinstance(piece, Filled)]
    if not values:
        return
    for address in _addresses(_skeleton(said)):
        whole = _SIGN.sub(lambda sign: values[ord(sign[0]) - _VALUE], address)
        _harmless(whole, _LINKED if _own_scheme(address) else _LINKED_BY_VALUES)


def _skeleton(said: Sequence[str]) -> str:
    """The author's own words, with a sign for each value."""
    signs = count()
    return "".join(
        _sign(_VALUE, next(signs)) if isinstance(piece, Filled) else _PRIVATE.sub("?", piece)
        for piece in said
    )


@lru_cache(maxsize=256)
def _addresses(skeleton: str) -> tuple[str, ...]:
    """Every address with a gap in it. Raises Refused for a gap that stands where it must not."""
    surveyor = _Surveyor()
    if sign := _NO_NAME.search(skeleton):
        raise _Misplaced(f"a gap is no name of a tag. {_PLACES}", ord(sign[1]) - _VALUE)
    _feed(surveyor, skeleton)
    _look_for_open_tags(skeleton)
    for sign in _SIGN.findall(skeleton):
        if sign not in surveyor.placed:
            raise _Misplaced(f"a gap stands where nobody sees it. {_PLACES}", ord(sign) - _VALUE)
    return tuple(surveyor.addresses)


def _look_for_open_tags(skeleton: str) -> None:
    """The library takes a tag that never ends for text; whoever reads the letter does not."""
    at = 0
    while found := _TAG.search(skeleton, at):
        whole = _WHOLE_TAG.match(skeleton, found.start())
        if whole is None:
            if sign := _SIGN.search(skeleton, found.start()):
                raise _Misplaced(
                    'a gap stands behind a "<" that no ">" ends. Write &lt; for it', ord(sign[0]) - _VALUE
                )
            return
        at = whole.end()
        if whole[1] and whole[1].lower() in _CODE:
            end = _CODE_ENDS.search(skeleton, at)
            at = end.start() if end else len(skeleton)


class _Surveyor(HTMLParser):
    """Looks where in the author's HTML the gaps stand."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.placed: set[str] = set()
        self.addresses: list[str] = []
        self._code: list[str] = []  #: the scripts and styles around us

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # to whoever reads it, `<script/>` begins and does not end

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = self.get_starttag_text() or ""
        if signs := _SIGN.findall(written):
            self._look_into(written)
            self.placed.update(signs)
        if tag in _CODE:
            self._code.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._code:
            self._code.remove(tag)

    def handle_data(self, data: str) -> None:
        for sign in _SIGN.findall(data):
            if self._code:
                self._refuse(sign, f"a gap has no place in <{self._code[-1]}>. {_PLACES}")
            self.placed.add(sign)

    def handle_comment(self, data: str) -> None:
        for sign in _SIGN.findall(data):
            self._refuse(sign, f"a gap has no place in a comment. {_PLACES}")

    def _look_into(self, written: str) -> None:
        for name, value in _ATTRIBUTE.findall(_NAME_OF_TAG.sub("", written)):
            if sign := _SIGN.search(f"{name} {value}"):
                self._look_at(sign[0], name.lower(), value)

    def _look_at(self, sign: str, name: str, value: str) -> None:
        if _SIGN.search(name):
            self._refuse(sign, 'a gap is no attribute. Write title="{{ … }}"')
        if name not in _ADDRESSES and not _ONLY_WORDS.fullmatch(name):
            self._refuse(sign, f"a gap has no place in {name}. {_PLACES}")
        if value[0] not in "'\"":
            self._refuse(sign, f'put quotes around the gap: {name}="{{{{ … }}}}"')
        if name in _ADDRESSES:
            self._look_at_address(sign, unescape(value[1:-1]))

    def _look_at_address(self, sign: str, address: str) -> None:
        scheme = _own_scheme(address)
        if scheme and scheme not in _LINKED:
            self._refuse(sign, f'a gap has no place behind "{scheme}:". {_PLACES}')
        self.addresses.append(address)

    def _refuse(self, sign: str, words: str) -> None:
        raise _Misplaced(words, ord(sign) - _VALUE)


def _own_scheme(address: str) -> str | None:
    """The one that the author wrote, before the first gap."""
    own = _UNSEEN.sub("", _SIGN.split(address, maxsplit=1)[0])
    found = _SCHEME.match(own)
    return found[1].lower() if found and not _SITE.match(own) else None


# --- reading Markdown ---

_reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(
    ["autolink", "code", "entity", "html_block", "html_inline", "lheading", "reference"]
)
_reader.normalizeLink = lambda url: url  # type: ignore[method-assign]  # not before its gaps are filled

#: What only HTML can show.
_SAYS_MORE = frozenset({"em", "strong", "link", "image", "heading", "code_inline", "fence", "blockquote"})
_LISTS = frozenset({"bullet_list", "ordered_list"})
_WORDS = frozenset({"text", "code_inline", "softbreak", "hardbreak"})


@lru_cache(maxsize=256)
def _shape(source: str) -> _Shape:
    kept: list[str] = []

    def keep(found: re.Match[str]) -> str:
        kept.append(found[0])
        return _sign(_LATER, len(kept) - 1)

    source = _AS_WRITTEN.sub(keep, _BREAK.sub("\n", source.strip()))
    try:
        root = Node(_reader.parse(source))
        scribe = _Scribe(kept, source.split("\n"))
        text, html = (tuple(_SIGN.split(said)) for said in (scribe.text(root), scribe.html(root)))
        return _Shape(any(map(_says_more, root.walk())), text, html, tuple(scribe.later))
    except RecursionError as error:
        raise Refused("the text is too tangled") from error


def _says_more(node: Node) -> bool:
    return node.type in _SAYS_MORE or (node.type in _LISTS and not _is_sentence(node))


def _is_sentence(node: Node) -> bool:
    """`1. January is a holiday`: one item is no list."""
    return len(node.children) == 1 and [each.type for each in node.children[0].children] == ["paragraph"]


class _Scribe:
    """Writes down twice what was read, in HTML and in plain text."""

    def __init__(self, kept: Sequence[str], lines: Sequence[str]) -> None:
        self.later: dict[tuple[bool, str], str] = {}
        self._kept = kept
        self._lines = lines

    def html(self, node: Node) -> str:
        return _HTML.get(node.type, _Scribe._html_children)(self, node)

    def text(self, node: Node) -> str:
        return _TEXT.get(node.type, _Scribe._text_children)(self, node)

    def own(self, written: str) -> str:
        """What was kept from the reader of Markdown is the author's own again."""
        return _KEPT.sub(lambda sign: self._kept[ord(sign[0]) - _LATER], written)

    # --- HTML ---

    def _html_children(self, node: Node) -> str:
        return "".join(map(self.html, node.children))

    def _html_text(self, node: Node) -> str:
        return escape(self.own(node.content), quote=False)

    def _html_break(self, node: Node) -> str:
        return "<br>\n"

    def _html_pair(self, node: Node) -> str:
        return f"<{node.tag}>{self._html_children(node)}</{node.tag}>"

    def _html_block(self, node: Node) -> str:
        return f"{self._html_pair(node)}\n"

    def _html_paragraph(self, node: Node) -> str:
        return self._html_children(node) if node.hidden else self._html_block(node)

    def _html_list(self, node: Node) -> str:
        if _is_sentence(node):
            return f"<p>{_marker(node.children[0])}{self._html_children(node.children[0].children[0])}</p>\n"
        start = node.attrs.get("start")
        opening = node.tag if start is None else f'{node.tag} start="{start}"'
        return f"<{opening}>\n{self._html_children(node)}</{node.tag}>\n"

    def _html_quote(self, node: Node) -> str:
        return f"<blockquote>\n{self._html_children(node)}</blockquote>\n"

    def _html_code(self, node: Node) -> str:
        return f"<code>{self._html_text(node)}</code>"

    def _html_fence(self, node: Node) -> str:
        return f"<pre>{self._html_code(node)}</pre>\n"

    def _html_rule(self, node: Node) -> str:
        return "<hr>\n"

    def _html_link(self, node: Node) -> str:
        address = self._address(node, "href")
        if not address:
            return self._html_children(node)
        return f'<a href="{self._in_quotes(address)}">{self._html_children(node)}</a>'

    def _html_image(self, node: Node) -> str:
        address, instead = self._address(node, "src"), self._words(node)
        instead = self._put_off(False, instead) if _PRIVATE.search(instead) else _instead(instead)
        return f'<img src="{self._in_quotes(address)}" alt="{instead}">' if address else instead

    def _in_quotes(self, address: str) -> str:
        return address if _PRIVATE.search(address) else escape(address)

    # --- plain text ---

    def _text_children(self, node: Node) -> str:
        return "".join(map(self.text, node.children))

    def _text_own(self, node: Node) -> str:
        return self.own(node.content)

    def _text_break(self, node: Node) -> str:
        return "\n"

    def _text_blocks(self, node: Node) -> str:
        """With an empty line where the author left one."""
        said = ""
        for block in node.children:
            if said:
                said += "\n\n" if self._stands_apart(block) else "\n"
            said += self.text(block)
        return said

    def _stands_apart(self, block: Node) -> bool:
        first = block.map[0] if block.map else 0
        return not self._lines[first - 1].strip(" \t>")

    def _text_item(self, node: Node) -> str:
        marker = _marker(node)
        return marker + self._text_blocks(node).replace("\n", "\n" + " " * len(marker))

    def _text_list(self, node: Node) -> str:
        if _is_sentence(node):
            return _marker(node.children[0]) + self._text_blocks(node.children[0])
        return self._text_blocks(node)

    def _text_quote(self, node: Node) -> str:
        return "\n".join(f"> {line}".rstrip() for line in self._text_blocks(node).split("\n"))

    def _text_fence(self, node: Node) -> str:
        return self.own(node.content).rstrip("\n")

    def _text_rule(self, node: Node) -> str:
        return "---"

    def _text_link(self, node: Node) -> str:
        has_image = any(each.type == "image" for each in node.walk())
        return self._labelled(self._words(node) if has_image else self._text_children(node), node, "href")

    def _text_image(self, node: Node) -> str:
        return self._labelled(self._words(node), node, "src")

    def _words(self, node: Node) -> str:
        """Nothing but words."""
        return "".join(self.own(each.content) or " " for each in node.walk() if each.type in _WORDS)

    def _labelled(self, label: str, node: Node, attribute: str) -> str:
        """`our report (https://acme.example/report)`; but nothing is said twice."""
        address, written = self._address(node, attribute), self._written(node, attribute)
        if label in (written, written.removeprefix("mailto:")) or not address:
            return label
        return label + (address if _PRIVATE.search(address) else f" ({address})")

    # --- addresses ---

    def _written(self, node: Node, attribute: str) -> str:
        return self.own(str(node.attrs.get(attribute, "")))

    def _address(self, node: Node, attribute: str) -> str:
        """A sign for it, if there are gaps in it."""
        written = self._written(node, attribute)
        return self._put_off(True, written) if _PRIVATE.search(written) else _address(written)

    def _put_off(self, is_address: bool, written: str) -> str:
        return self.later.setdefault((is_address, written), _sign(_LATER, len(self.later)))


def _marker(item: Node) -> str:
    """As its author wrote it: `- `, `3) `."""
    return f"{item.info}{item.markup} "


_Writing = Callable[[_Scribe, Node], str]
_HTML: Mapping[str, _Writing] = {
    "text": _Scribe._html_text,
    "softbreak": _Scribe._html_break,
    "hardbreak": _Scribe._html_break,
    "em": _Scribe._html_pair,
    "strong": _Scribe._html_pair,
    "code_inline": _Scribe._html_code,
    "link": _Scribe._html_link,
    "image": _Scribe._html_image,
    "paragraph": _Scribe._html_paragraph,
    "heading": _Scribe._html_block,
    "bullet_list": _Scribe._html_list,
    "ordered_list": _Scribe._html_list,
    "list_item": _Scribe._html_block,
    "blockquote": _Scribe._html_quote,
    "fence": _Scribe._html_fence,
    "hr": _Scribe._html_rule,
}
_TEXT: Mapping[str, _Writing] = {
    "root": _Scribe._text_blocks,
    "text": _Scribe._text_own,
    "softbreak": _Scribe._text_break,
    "hardbreak": _Scribe._text_break,
    "code_inline": _Scribe._text_own,
    "link": _Scribe._text_link,
    "image": _Scribe._text_image,
    "bullet_list": _Scribe._text_list,
    "ordered_list": _Scribe._text_list,
    "list_item": _Scribe._text_item,
    "blockquote": _Scribe._text_quote,
    "fence": _Scribe._text_fence,
    "hr": _Scribe._text_rule,
}


# --- HTML as plain text ---

_LINE, _GAP, _BLANK, _FEED = "\x01", "\x02", "\x03", "\x04"  #: a new line, an empty one; as it is, in <pre>
_OURS = re.compile("[\0-\4]")
_SPACE = re.compile(r"[ \t\r\n\f]+")
_BETWEEN = re.compile(f"[ \n{_LINE}{_GAP}]+")
_BLOCK = re.compile(
    "address|article|aside|blockquote|body|center|d[dlt]|div|fieldset|figcaption|figure|footer|form|h[1-6r]|header|html|"
    "main|nav|p|pre|section|table"
)
_ENDLESS = re.compile(r"<[A-Za-z/!?][^<>]*(?=<|\Z)")
_MOST_ENDLESS = 200
_SILENT = frozenset({"script", "style", "template", "title"})


def text_of(html: str) -> str:
    """What somebody reads who sees no HTML."""
    reader = _Reader()
    _feed(reader, _OURS.sub("", _BREAK.sub("\n", html)))
    return reader.text() + "\n"


def _feed(reader: HTMLParser, html: str) -> None:
    if len(_ENDLESS.findall(html)) > _MOST_ENDLESS:
        # the library would look for the end of each of them to the end
        raise Refused("the html has tags that never end")
    try:
        reader.feed(html)
        reader.close()
    except AssertionError as error:  # the library's own way to say that it does not know `<![this[`
        raise Refused(f"the html cannot be read: {error}") from error


def _between(found: re.Match[str]) -> str:
    run = found[0]
    if _GAP in run:
        return "\n\n"
    return "\n" * (1 if _LINE in run else run.count("\n")) or " "


class _Reader(HTMLParser):
    """Goes through HTML and keeps what can be read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._said: list[str] = []
        self._silent = self._verbatim = 0
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []  #: how far each list around us has counted, if it counts
        self._bullet = ""

    def text(self) -> str:
        text = _BETWEEN.sub(_between, "".join(self._said))
        return text.replace(_BLANK, " ").replace(_FEED, "\n").strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._edge(tag)
        self._silent += tag in _SILENT
        self._verbatim += tag == "pre"
        found = dict(attrs)
        match tag:
            case "ul" | "ol":
                self._lists.append(0 if tag == "ol" else None)
            case "li":
                self._begin_item()
            case "a":
                self._begin_words()
                self._links.append((found.get("href") or "", len(self._said)))
            case "img":
                self.handle_data(found.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        if tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        if tag != "br":  # `<br/>` begins and ends
            self._edge(tag)

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if data.strip():
            self._begin_words()
        as_it_is = data.replace("\n", _FEED).replace(" ", _BLANK)
        self._said.append(as_it_is if self._verbatim else _SPACE.sub(" ", data))

    def _edge(self, tag: str) -> None:
        if _BLOCK.fullmatch(tag) or (tag in ("ul", "ol") and not self._lists):
            self._said.append(_GAP)
        elif tag in ("ul", "ol", "li", "tr"):
            self._said.append(_LINE)
        elif tag == "br":
            self._said.append("\n")
        elif tag in ("td", "th"):
            self._said.append(" ")

    def _begin_item(self) -> None:
        """Its mark waits for its first word: there may be a paragraph between them."""
        count = None
        if self._lists and self._lists[-1] is not None:
            count = self._lists[-1] = self._lists[-1] + 1
        self._bullet = _BLANK * 2 * (len(self._lists) - 1) + ("-" if count is None else f"{count}.") + _BLANK

    def _begin_words(self) -> None:
        self._said.append(self._bullet)
        self._bullet = ""

    def _end_link(self, address: str, start: int) -> None:
        label = "".join(self._said[start:])
        shown = label.strip()
        scheme = _SCHEME.match(address)
        followed = scheme is not None and scheme[1].lower() in _LINKED - {"cid"}
        if followed and shown not in (address, address.removeprefix("mailto:")):
            end = label[len(label.rstrip()) :]
            self._said[start:] = [label.rstrip(), f" ({address})" if shown else address, end]
