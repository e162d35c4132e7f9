"""Templates: what fills a gap, and what gets no further."""

import pytest

from engine.errors import Refused
from engine.render import TemplateMistake, gaps, render


def test_a_gap_is_filled():
    assert render("Hi {{ name }}!", {"name": "Ida"}) == "Hi Ida!"


@pytest.mark.parametrize(
    "template",
    [
        "{{ missing }}",
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__ }}",
        "{{ 'a' * 10**9 }}",
        "{{ 10**10**10 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ name.upper.__self__.__class__ }}",
        "{{ 1 / 0 }}",
        "{{ name | center(10**9) }}",
        "{{ name | center(999999999) }}",
        "{{ '%0999999999d' | format(1) }}",
        "{{ name | no_such_filter }}",
        "{% include 'x' %}",
        "{% for i in range(10) %}{% endfor %}",
    ],
)
def test_what_a_template_must_not_do_is_refused_in_words(template):
    with pytest.raises(Refused) as caught:
        render(template, {"name": "Ida"})
    assert str(caught.value)


def test_a_text_without_end_is_refused():
    with pytest.raises(Refused, match="characters long"):
        render("{{ name }}" * 20, {"name": "Ida" * 2000})


@pytest.mark.parametrize(
    ("template", "needed"),
    [
        ("{{ a }} {{ b }} {{ a }}", ["a", "b"]),
        ("{{ a | default('x') }}", []),
        ("{{ a | d(b) }}", ["b"]),
        ("{% if a is defined %}{{ b }}{% endif %}", ["b"]),
        ("{% if a == 'x' %}{{ b }}{% else %}{{ c }}{% endif %}", ["a", "b", "c"]),
        ("{{ a.upper() }}", ["a"]),
        ("{{ a | upper | default('x') }}", ["a"]),
        ("plain", []),
    ],
)
def test_the_gaps_that_must_be_filled(template, needed):
    assert list(gaps(template)) == needed


@pytest.mark.parametrize(("template", "line"), [("{{ a", 1), ("x\n{% if %}", 2), ("{% endfor %}", 1)])
def test_a_template_that_does_not_parse_says_where(template, line):
    with pytest.raises(TemplateMistake) as caught:
        gaps(template)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in b %}{{ a }}{% endfor %}",
        "{% set a = b %}{{ a }}",
        "{% macro a() %}x{% endmacro %}{{ a() }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ 9 ** 9 }}",
        "{{ a.__class__ }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{{ a | replace('a', 'aa') }}",
    ],
)
def test_what_does_not_belong_into_a_letter_is_a_mistake_before_anybody_is_written_to(template):
    with pytest.raises(TemplateMistake):
        gaps(f"Hello\n{template}")
