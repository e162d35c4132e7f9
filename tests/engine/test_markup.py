"""Letters: plain text stays plain, Markdown says the same twice, and nobody's name is ever markup."""

import re
from collections.abc import Callable
from contextlib import suppress
from html import unescape
from html.parser import HTMLParser
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import Refused
from engine.markup import Parts, check_html, html_part, letter_parts, text_of
from engine.render import TemplateMistake, render

#: An empty cell says nothing, and is handled before it gets here.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40
).filter(str.strip)
EVIL = [
    "<b>x</b>",
    "**x**",
    "_x_",
    "`x`",
    "[x](http://evil.example)",
    "![x](http://evil.example)",
    "{{ x }}",
    "{% if x %}",
    "\\",
    "\\*",
    "# x",
    "> x",
    "- x",
    "1. x",
    "```",
    "---",
    "&amp;",
    "<https://evil.example>",
    "</p><script>alert(1)</script>",
    '" onclick="x',
    "](http://evil.example)",
    "https://a_b_c.example/_d_",
    "\U000f0000\U00100000",
]


def said(say: Callable[[], Parts | str]) -> Parts | str:
    """What it says, or why it does not."""
    try:
        return say()
    except Refused as error:
        return f"refused: {error}"


def visible(html: str) -> str:
    """What can be seen of it, without its tags."""
    return squeezed(unescape(re.sub(r"<[^>]*>", "", html)))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def tags(html: str) -> list[str]:
    """As a browser reads them."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(" ".join([tag, *(f"{name}={value}" for name, value in attrs)]))

    reader = Reader()
    reader.feed(html)
    reader.close()
    return found


# --- plain letters stay as they are ---


@pytest.mark.parametrize(
    "body",
    [
        "Hi Ida,\n\nI noticed it.\n  An indented line,\n    and another.\n\n\n\nWorth a look?",
        "see snake_case_names? 2 * 3 * 4, 5*4*3, a * b",
        "#hashtag #1\n#2",
        "1. January is a holiday.",
        "We meet on\n1. January",
        "2026. What a year",
        "$5 *per seat\n\n10 % + 5 %, ~100, ^up",
        "Sam\n---\nSales",
        "Sam\n===\nSales",
        "- Sam",
        "Bye\n- Sam\nSales, Acme",
        "+ 47 555 01 234",
        "https://acme.example/_a_/b_c_/*?q=1&copy=2 (https://en.example/Foo_(bar)_baz_)",
        "sam_lee_@acme.example, _sam_@acme.example, first.last+tag@acme.example",
        "<https://acme.example> Sam <sam@acme.example>",
        "AT&T, R&amp;D, <b>bold</b>, <!-- hm -->",
        "[1]: https://acme.example\nsee [1] and [this][1]",
        "¯\\_(ツ)_/¯ C:\\temp\\_x \\*",
        "a * b _ c ` d ~~e~~ | f | g",
        "* * *\n\n___\n\nPS: x",
        "    indented\n\ttabbed",
        "a  \nb\\\nc",
        "\U000f0000 private \U0010abcd",
        "a\r\nb\r\n\r\nc",
    ],
)
def test_a_letter_without_markup_leaves_as_it_was_written_and_as_nothing_but_text(body):
    parts = letter_parts(f"\n{body}\n\n", {})

    assert parts.html is None
    assert parts.text == render(body, {}).strip() + "\n"


def test_the_gaps_of_a_plain_letter_are_filled():
    parts = letter_parts(
        "Hi {{ name }},\n{% if vip %}you *VIP*{% else %}hello{% endif %}", {"name": "*I*", "vip": "no"}
    )

    assert (parts.text, parts.html) == ("Hi *I*,\nhello\n", None)


@pytest.mark.parametrize("value", EVIL)
def test_a_value_makes_no_markup_of_a_plain_letter(value):
    parts = letter_parts("{{ name }}\n\nHi {{ name }}\n{{ name }}", {"name": value})

    assert (parts.text, parts.html) == (f"{value}\n\nHi {value}\n{value}\n", None)


# --- Markdown says it twice ---


@pytest.mark.parametrize(
    ("body", "text", "html"),
    [
        ("a **b** c", "a b c", "<p>a <strong>b</strong> c</p>"),
        ("a *b* _c_", "a b c", "<p>a <em>b</em> <em>c</em></p>"),
        ("a\nb *c*", "a\nb c", "<p>a<br>\nb <em>c</em></p>"),
        ("`a*b*`", "a*b*", "<p><code>a*b*</code></p>"),
        ("# A *b*\nc", "A b\nc", "<h1>A <em>b</em></h1>\n<p>c</p>"),
        ("# A\n\nc", "A\n\nc", "<h1>A</h1>\n<p>c</p>"),
        ("We do:\n- a\n- b", "We do:\n- a\n- b", "<p>We do:</p>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("* a\n\n* b", "* a\n\n* b", "<ul>\n<li><p>a</p>\n</li>\n<li><p>b</p>\n</li>\n</ul>"),
        ("3) a\n4) b\n   c", "3) a\n4) b\n   c", '<ol start="3">\n<li>a</li>\n<li>b<br>\nc</li>\n</ol>'),
        ("- a\n  - b\n  - c", "- a\n  - b\n  - c", "<ul>\n<li>a<ul>\n<li>b</li>\n<li>c</li>\n</ul>\n</li>\n</ul>"),
        ("> a\n> b\n\nc", "> a\n> b\n\nc", "<blockquote>\n<p>a<br>\nb</p>\n</blockquote>\n<p>c</p>"),
        ("```py\na *b*\n\n  <c>\n```\nd", "a *b*\n\n  <c>\nd", "<pre><code>a *b*\n\n  &lt;c&gt;\n</code></pre>\n<p>d</p>"),
        ("**a**\n\n---\n\nb", "a\n\n---\n\nb", "<p><strong>a</strong></p>\n<hr>\n<p>b</p>"),
        ("**a** \\*b\\*", "a *b*", "<p><strong>a</strong> *b*</p>"),
        ("**a** <b>&amp;</b> <x@y.example>", "a <b>&amp;</b> <x@y.example>", "<p><strong>a</strong> &lt;b&gt;&amp;amp;&lt;/b&gt; &lt;x@y.example&gt;</p>"),
        ("**https://a.example/_b_**", "https://a.example/_b_", "<p><strong>https://a.example/_b_</strong></p>"),
        ("{{ '**' }}a **b** {{ '_c_' }}", "**a b _c_", "<p>**a <strong>b</strong> _c_</p>"),
    ],
)  # fmt: skip
def test_markdown_is_said_in_text_and_in_html(body, text, html):
    parts = letter_parts(body, {})

    assert parts.text == text + "\n"
    assert parts.html == html + "\n"


@pytest.mark.parametrize(
    ("body", "text", "href"),
    [
        ("[our report](https://a.example/r)", "our report (https://a.example/r)", "https://a.example/r"),
        ("[https://a.example/_r_](https://a.example/_r_)", "https://a.example/_r_", "https://a.example/_r_"),
        ("[sam@a.example](mailto:sam@a.example)", "sam@a.example", "mailto:sam@a.example"),
        ("[write me](sam@a.example)", "write me (mailto:sam@a.example)", "mailto:sam@a.example"),
        ("[our site](a.example/x_y_)", "our site (https://a.example/x_y_)", "https://a.example/x_y_"),
        ('[a](<https://a.example/b c> "title")', "a (https://a.example/b%20c)", "https://a.example/b%20c"),
        ("[a](https://a.example/?b=1&c=2)", "a (https://a.example/?b=1&c=2)", "https://a.example/?b=1&c=2"),
        ("[call](tel:+4755501234)", "call (tel:+4755501234)", "tel:+4755501234"),
        ("[a](https://müller.example/ü)", "a (https://xn--mller-kva.example/%C3%BC)", "https://xn--mller-kva.example/%C3%BC"),
        ("[{{ site }}](https://{{ site }}/{{ page | urlencode }})", "acme.example (https://acme.example/a%20b%26c)", "https://acme.example/a%20b%26c"),
        ("[{{ url }}]({{ url }})", 'https://acme.example/?x=1&y="2"', "https://acme.example/?x=1&y=%222%22"),
        ("[{{ site }}]({{ site }})", "acme.example", "https://acme.example"),
        ("[you]({{ email }})", "you (mailto:ida@nordic.example)", "mailto:ida@nordic.example"),
    ],
)  # fmt: skip
def test_a_link_says_where_it_leads(body, text, href):
    known = {
        "site": "acme.example",
        "page": "a b&c",
        "url": 'https://acme.example/?x=1&y="2"',
        "email": "ida@nordic.example",
    }
    parts = letter_parts(f"See {body}.", known)

    assert squeezed(parts.text) == squeezed(f"See {text}.")
    assert parts.html is not None
    assert tags(parts.html) == ["p", f"a href={href}"]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JaVaScRiPt:x", " java\tscript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "  "],
)  # fmt: skip
def test_a_value_leads_nobody_where_no_letter_should(url):
    with pytest.raises(Refused, match="a link would lead"):
        letter_parts("[report]({{ url }})", {"url": url})


def test_nor_does_the_author():
    assert letter_parts("[report](javascript:x)", {}).html is None


def test_an_image_is_shown_and_told():
    parts = letter_parts('![our "logo" of {{ name }}](https://a.example/l.png)', {"name": '"A"\nB'})

    assert parts.text == 'our "logo" of "A"\nB (https://a.example/l.png)\n'
    assert tags(parts.html or "") == ["p", 'img src=https://a.example/l.png alt=our "logo" of "A" B']
    linked = letter_parts("[![logo](https://a.example/l.png)](https://a.example)", {})
    assert linked.text == "logo (https://a.example)\n"


def test_nothing_is_loaded_that_the_author_did_not_ask_for():
    html = letter_parts("# A\n\n**b** https://a.example [c](https://a.example)\n\n- d\n- e", {}).html or ""

    assert not re.search(r"<(?!/?(h1|p|strong|a|ul|li|br)\b)|style|src|class", html)


# --- a value is never markup ---

_SHAPES = [
    "**Hi** {{ x }}",
    "{{ x }}\n\n**Hi**",
    "**{{ x }}** and _{{ x }}_",
    "# {{ x }}",
    "- {{ x }}\n- {{ x }}",
    "1. {{ x }}\n2. b",
    "> {{ x }}\n> {{ x }}",
    "`{{ x }}` *b*",
    "```\n{{ x }}\n```",
    "*a*\n{{ x }}\n{{ x }}b",
    "[{{ x }}](https://a.example)",
    "*a* a{{ x }}b",
    "*a* {{ x | default('y') }} {{ x ~ '' }} {% if x %}{{ x }}{% endif %}",
]


def _tagged(body: str, **variables: Any) -> list[str]:
    return tags(letter_parts(body, variables).html or "")


@pytest.mark.parametrize("body", _SHAPES)
@settings(deadline=None)
@given(value=VALUES)
@example(value="**x**")
@example(value="<b>x</b>")
@example(value="[x](http://evil.example)")
@example(value="\U000f0000")
@example(value="`` ` ``")
def test_whatever_a_value_is_it_is_seen_and_changes_nothing_around_it(body, value):
    parts = letter_parts(body, {"x": value})

    assert squeezed(value) in squeezed(parts.text)
    assert parts.html is not None
    assert squeezed(value) in visible(parts.html)
    assert tags(parts.html) == _tagged(body, x="plain")


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize("body", _SHAPES)
def test_nobodys_name_is_markup(body, value):
    parts = letter_parts(body, {"x": value})

    assert value in parts.text
    assert squeezed(value) in visible(parts.html or "")
    assert tags(parts.html or "") == _tagged(body, x="plain")


def test_the_lines_of_a_value_stay_lines():
    parts = letter_parts("**To**\n{{ address }}", {"address": "Gata 1\r\n\n# 0150 Oslo"})

    assert parts.text == "To\nGata 1\r\n\n# 0150 Oslo\n"
    assert parts.html == "<p><strong>To</strong><br>\nGata 1<br>\n<br>\n# 0150 Oslo</p>\n"


def test_conditions_and_filters_see_what_is_known_and_not_what_is_shown():
    body = '**{{ name | upper }}** {% if industry == "r&d <x>" %}yes{% endif %} {{ name | length }}'

    parts = letter_parts(body, {"name": "<i>", "industry": "r&d <x>"})

    assert parts.text == "<I> yes 3\n"
    assert parts.html == "<p><strong>&lt;I&gt;</strong> yes 3</p>\n"


# --- signatures ---


def test_a_signature_stands_below_an_empty_line_in_both_parts():
    parts = letter_parts(
        "Hi **{{ name }}**\n\n", {"name": "Ida", "owner": "Sam"}, "\n{{ owner }}\n--\n_Acme_\n"
    )

    assert parts.text == "Hi Ida\n\nSam\n--\nAcme\n"
    assert parts.html == "<p>Hi <strong>Ida</strong></p>\n<p>Sam<br>\n--<br>\n<em>Acme</em></p>\n"


@pytest.mark.parametrize(
    ("body", "signature", "text"),
    [
        ("Hi", "Sam\n* Acme *", "Hi\n\nSam\n* Acme *\n"),
        ("Hi", " \n", "Hi\n"),
        ("Hi", "{{ nothing }}", "Hi\n"),
        ("Hi", None, "Hi\n"),
    ],
)
def test_a_plain_signature_below_a_plain_letter_makes_no_html(body, signature, text):
    assert letter_parts(body, {"nothing": " "}, signature) == letter_parts(text, {})


def test_each_of_them_keeps_to_itself():
    parts = letter_parts("```\nunclosed", {}, "**Sam**\n\n  Acme  Ltd")
    assert parts.text == "unclosed\n\nSam\n\nAcme  Ltd\n"

    parts = letter_parts("as  written,\n   *so*  it stays", {}, "Sam **Lee**")
    assert parts.text == "as  written,\nso  it stays\n\nSam Lee\n"


# --- what cannot be said ---


@pytest.mark.parametrize(
    "body", ["", " \n", "{{ nothing }}", "```\n```", "# {{ nothing }}", "**{{ nothing }}**"]
)
def test_a_letter_that_says_nothing_is_refused(body):
    with pytest.raises(Refused, match="the text is empty"):
        letter_parts(body, {"nothing": " "}, "Sam")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{{ missing }}", Refused),
        ("{% for a in b %}{% endfor %}", TemplateMistake),
        ("{{ a", TemplateMistake),
    ],
)
def test_what_render_refuses_is_refused_here_too(body, error):
    with pytest.raises(error):
        letter_parts(f"**x** {body}", {})
    with pytest.raises(error):
        letter_parts("x", {}, body)
    with pytest.raises(error):
        html_part(body, {})


_TANGLES = (
    "*a " * 5_000 + "a* " * 5_000,
    "*_" * 10_000,
    "[" * 20_000,
    "![a](" * 10_000,
    "[a](b) " * 5_000,
    "> " * 50_000,
    "- " * 50_000,
    "- a\n+ b\n" * 2_000,
    "`" * 50_000,
    "a@" * 50_000,
    "https://a(" * 10_000,
)


@pytest.mark.parametrize("body", _TANGLES, ids=lambda each: each[:8])
def test_a_tangle_is_told_apart_or_refused_soon(body):
    began = perf_counter()
    parts = said(lambda: letter_parts(body, {}))

    assert perf_counter() - began < 10
    assert isinstance(parts, Parts) or parts in (
        "refused: the text is too tangled",
        "refused: the text is empty",
    )


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab *_`[]()!#>-+1.\n\\<>&~^:/@\U000f0000x"), max_size=60))
def test_whatever_is_written_is_read(text):
    parts = said(lambda: letter_parts("a" + text, {}))

    assert isinstance(parts, Parts)
    assert parts.text.strip()
    assert parts.html is None or visible(parts.html)


# --- the author's own HTML ---


@pytest.mark.parametrize("value", EVIL)
def test_in_the_authors_own_html_a_value_is_only_text(value):
    html = html_part('<p title="{{ x }}">Hi {{ x }}</p>', {"x": value})

    assert tags(html) == [f"p title={value}"]
    assert squeezed(value) in visible(html)
    assert text_of(html) == f"Hi {value}\n"


@settings(deadline=None)
@given(value=VALUES)
def test_what_anybody_is_called_can_be_read_without_html(value):
    html = html_part("<p>Hi {{ x }}</p>", {"x": value})

    assert squeezed(value) in visible(html)
    assert squeezed(value) in squeezed(text_of(html))


@pytest.mark.parametrize(
    "template", ["{{ x | safe }}", "{% autoescape false %}{{ x }}{% endautoescape %}", "{{ x | e }}"]
)
def test_nobody_can_switch_it_off(template):
    with pytest.raises(TemplateMistake):
        html_part(template, {"x": "<b>"})


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<a href={{ x }}>a</a>", 'put quotes around the gap: href="'),
        ("<p onclick={{ x }}>a</p>", "a gap has no place in onclick"),
        ('<p ONCLICK="f({{ x }})">a</p>', "a gap has no place in onclick"),
        ('<p style="color: {{ x }}">a</p>', "a gap has no place in style"),
        ('<iframe srcdoc="{{ x }}"></iframe>', "a gap has no place in srcdoc"),
        ('<img srcset="{{ x }} 2x">', "a gap has no place in srcset"),
        ("<p {{ x }}>a</p>", "a gap is no attribute"),
        ('<p data-{{ x }}="a">a</p>', "a gap is no attribute"),
        ("<{{ x }}>a</p>", "a gap is no name of a tag"),
        ("<p>a</{{ x }}>", "a gap is no name of a tag"),
        ("<h{{ x }}>a</h1>", "a gap is no name of a tag"),
        ("<p>a</p {{ x }}>", "a gap stands where nobody sees it"),
        ("<script>{{ x }}</script>", "a gap has no place in <script>"),
        ("<script/>{{ x }}", "a gap has no place in <script>"),
        ("<STYLE>p { color: {{ x }} }</STYLE>", "a gap has no place in <style>"),
        ("<p>a</p><!-- {{ x }} -->", "a gap has no place in a comment"),
        ("<!doctype {{ x }}><p>a</p>", "a gap stands where nobody sees it"),
        ('<a href="javascript:{{ x }}">a</a>', 'a gap has no place behind "javascript:"'),
        ('<a href="java&#115;cript:{{ x }}">a</a>', 'a gap has no place behind "javascript:"'),
        ('<p>a</p><a title="b" href="{{ x }}', 'a gap stands behind a "<" that no ">" ends'),
        ("<p>1 <b and {{ x }}", 'a gap stands behind a "<" that no ">" ends'),
    ],
)
def test_a_gap_where_a_value_would_be_more_than_a_value_is_a_mistake(template, words):
    with pytest.raises(TemplateMistake, match=re.escape(words)) as caught:
        check_html(f"<p>Hello {{{{ y }}}}\n{{% if y\n %}}</p>{{% endif %}}{template}")
    assert caught.value.line == 3
    with pytest.raises(Refused, match=re.escape(words)):
        html_part(template, {"x": "x"})


@pytest.mark.parametrize(
    "template",
    [
        '<a href="{{ x }}">{{ y }}</a>',
        "<a href='https://acme.example/{{ x }}?a={{ y | urlencode }}'>a</a>",
        '<a href="tel:{{ x }}">a</a><img src="cid:{{ x }}" alt="{{ y }}">',
        '<table width="{{ x }}"><tr><td aria-label="{{ y }} > {{ x }}">1 < 2, {{ x }}</td></tr></table>',
        "<!-- don't --><style>p > a { color: red }</style><p>{{ x }}</p>",
        "<script>if (a<b) f('x')</script><title>{{ x }}</title>{{ y }}",
        '<p{% if x %} title="{{ x }}"{% endif %}>a</p>',
        "<!--[if mso]><p>a</p><![endif]--><p>{{ x }}</p>",
        "<a b",
    ],
)
def test_where_a_value_stays_a_value_it_may_stand(template):
    check_html(template)
    assert html_part(template, {"x": "x", "y": "y"})


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        " JaVaScript:alert(1)",
        "java\tscript:x",
        "data:text/html,x",
        "vbscript:x",
        "tel:1",
        "",
    ],
)
def test_a_value_is_no_link_to_anywhere_but_the_web(value):
    with pytest.raises(Refused, match="a link would lead"):
        html_part('<p>Hi</p><a href="{{ x }}">a</a>', {"x": value})


@pytest.mark.parametrize(
    "value", ["https://a.example/?b=1&c=2", "http://a.example", "mailto:a@b.example", "a.example"]
)
def test_a_value_may_be_a_link_to_the_web(value):
    html = html_part('<a href="{{ x }}">a</a>', {"x": value})

    assert tags(html) == [f"a href={value}"]


def test_an_html_without_end_is_read_or_refused_at_once():
    began = perf_counter()
    for tangled in (
        '<a "' * 20_000,
        "<script>" * 10_000,
        "<!--" * 20_000,
        "<p>{{ x }}" * 1000,
        "<a b='" * 15_000,
    ):
        with suppress(Refused):
            check_html(tangled + "{{ x }}")
    assert perf_counter() - began < 5


def test_html_without_anything_in_it_is_refused():
    with pytest.raises(Refused, match="the html is empty"):
        html_part(" {{ x }} ", {"x": ""})


@pytest.mark.parametrize(
    ("html", "signed"),
    [
        ("<p>Hi</p>", "<p>Hi</p>\n<p>Sam &lt;3 <em>x</em></p>\n"),
        ("<body><p>Hi</p></BODY></html>", "<body><p>Hi</p>\n<p>Sam &lt;3 <em>x</em></p>\n</BODY></html>\n"),
    ],
)
def test_a_signature_stands_inside_the_page(html, signed):
    assert html_part(html, {"owner": "Sam <3"}, "{{ owner }} *x*") == signed
    assert html_part(html, {}, " ") == html + "\n"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Hi  <b>Ida</b>,</p>\n<p>how\nare you?</p>", "Hi Ida,\n\nhow are you?"),
        ("a<br>b<br/><br>c<br></p>", "a\nb\n\nc"),
        ("<h1>A</h1>b<div>c<div>d</div></div>", "A\n\nb\n\nc\n\nd"),
        ("<ul><li>a</li><li><p>b</p></li></ul>c", "- a\n\n- b\n\nc"),
        ("<ol><li>a<li>b<ul><li>c</ul></ol>", "1. a\n2. b\n  - c"),
        ('<a href="https://a.example/?b&amp;c">our <b>site</b> </a>.', "our site (https://a.example/?b&c) ."),
        ('<a href="https://a.example">https://a.example</a>', "https://a.example"),
        ('<a href="mailto:a@b.example">a@b.example</a> <a href="#top">up</a>', "a@b.example up"),
        ('<a href="javascript:x">a</a> <a>b</a> </a>', "a b"),
        ('<li><a href="https://a.example"><img src="x" alt="logo"></a>', "- logo (https://a.example)"),
        ('<a href="https://a.example"><img src="x"></a>', "https://a.example"),
        ("<script>x</script><style>y</style><title>z</title>a<!-- b -->&lt;c&gt;&nbsp;d", "a<c>\u00a0d"),
        ("<pre>  a\n   b  c</pre> d", "  a\n   b  c\n\nd".strip()),
        ("<table><tr><th>a<th>b<tr><td>1</td><td>2</td></table>", "a b\n1 2"),
        ("<!doctype html><html><head><title>t</title><body>a", "a"),
        ("a < b & c <", "a < b & c <"),
        ("<![if !mso]>a<![endif]>\0\x01b", "ab"),
    ],
)
def test_html_can_be_read_as_text(html, text):
    assert text_of(html) == text + "\n"


@pytest.mark.parametrize("html", ["<a b=" * 20_000, "<!--" * 20_000, "<![what["])
def test_html_that_never_ends_is_refused_soon(html):
    began = perf_counter()
    with pytest.raises(Refused, match="the html"):
        text_of(html)
    assert perf_counter() - began < 1


@pytest.mark.parametrize(
    "piece", ["<br>", "<p>", "<ul><li>", "<pre> ", '<a href="https://a.example">', "</", "&amp"]
)
def test_html_is_read_in_time(piece):
    began = perf_counter()
    assert said(lambda: text_of(piece * 20_000))
    assert perf_counter() - began < 5
