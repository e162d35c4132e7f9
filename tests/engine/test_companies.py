"""Who works with whom, as far as a domain can tell."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.companies import company

ROOT = Path(__file__).parents[2]
LIST = resources.files("engine").joinpath("free_mail.txt").read_text("utf-8").splitlines()
FREE = [entry for line in LIST if not line.startswith("#") for entry in line.split()]
WELL_KNOWN = """
gmail.com googlemail.com outlook.com outlook.de hotmail.com hotmail.co.uk hotmail.fr live.com live.no live.co.uk
yahoo.com yahoo.co.uk yahoo.com.br yahoo.co.jp ymail.com icloud.com me.com mac.com proton.me protonmail.com pm.me
gmx.de gmx.net gmx.at gmx.ch gmx.com web.de mail.ru bk.ru yandex.ru yandex.com yandex.com.tr ya.ru qq.com 163.com
126.com aol.com aol.co.uk orange.fr free.fr laposte.net wanadoo.fr t-online.de freenet.de libero.it alice.it
telenet.be ziggo.nl online.no telia.com mail.dk luukku.com wp.pl onet.pl seznam.cz comcast.net btinternet.com
bigpond.com uol.com.br naver.com rediffmail.com privaterelay.appleid.com ida.fastmail.com docomo.ne.jp
"""


@pytest.mark.parametrize(
    ("address", "theirs"),
    [
        ("ida@nordic.no", "nordic.no"),
        ("ida@mail.nordic.no", "nordic.no"),
        ("ida@mail.nordic.co.uk", "nordic.co.uk"),
        ("ida@a.b.c.nordic.com.au", "nordic.com.au"),
        ("Ida@Mail.NORDIC.No", "nordic.no"),
        ("  ida@nordic.no \n", "nordic.no"),
        ("ida@nordic.no.", "nordic.no"),
        ('"ida@home"@nordic.no', "nordic.no"),
        ("nordic.no", "nordic.no"),
        ("www.nordic.no", "nordic.no"),
        ("ida@www.ck", "www.ck"),  # an exception in the list
        ("ida@city.kawasaki.jp", "city.kawasaki.jp"),
        ("ida@mail.oslo.kommune.no", "oslo.kommune.no"),
        ("ida@gmail.nordic.no", "nordic.no"),
        ("ida@notgmail.com", "notgmail.com"),
        ("ida@yandex-team.ru", "yandex-team.ru"),
    ],
)
def test_colleagues_share_what_their_company_registered(address, theirs):
    assert company(address) == theirs


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ida@nordic.uk.com", "ola@fjord.uk.com"),
        ("ida@nordic.com.se", "ola@fjord.com.se"),
        ("ida@nordic.onmicrosoft.com", "ola@fjord.onmicrosoft.com"),
        ("ida@nordic.mail.onmicrosoft.com", "ola@fjord.mail.onmicrosoft.com"),
        ("ida@nordic.myshopify.com", "ola@fjord.myshopify.com"),
        ("ida@nordic.blogspot.com", "ola@fjord.blogspot.com"),
        ("ida@nordic.github.io", "ola@fjord.github.io"),
    ],
)
def test_tenants_of_one_landlord_are_no_colleagues(one, other):
    assert company(one) == one.partition("@")[2]
    assert company(other) == other.partition("@")[2]


@pytest.mark.parametrize(
    ("address", "theirs"),
    [
        ("ida@github.io", "github.io"),
        ("ida@uk.com", "uk.com"),
        ("ida@s3.amazonaws.com", "amazonaws.com"),
    ],
)
def test_the_landlord_is_a_company_too(address, theirs):
    assert company(address) == theirs


@pytest.mark.parametrize(
    ("address", "theirs"),
    [
        ("ida@nordic.example", "nordic.example"),
        ("ida@mail.nordic.example", "nordic.example"),
        ("ida@acme.test", "acme.test"),
        ("ida@a.b.acme.invalid", "acme.invalid"),
    ],
)
def test_one_can_try_things_out(address, theirs):
    assert company(address) == theirs


@pytest.mark.parametrize(
    ("one_way", "other_way"),
    [
        ("ida@bücher.de", "ida@xn--bcher-kva.de"),
        ("ida@BÜCHER.DE", "ida@XN--BCHER-KVA.DE"),
        ("ida@bu\u0308cher.de", "ida@xn--bcher-kva.de"),
        ("ida@post.blåbær.no", "ida@xn--blbr-roah.no"),
        ("ida@食狮.公司.cn", "ida@xn--85x722f.xn--55qx5d.cn"),
        ("ida@bücher.example", "ida@mail.xn--bcher-kva.example"),
        ("ida@nordic。no", "ida@nordic.no"),
    ],
)
def test_a_domain_is_the_same_in_both_its_spellings(one_way, other_way):
    assert company(one_way) == company(other_way)
    assert (company(one_way) or "ä").isascii()


@pytest.mark.parametrize(
    "domain",
    WELL_KNOWN.split(),
)
def test_free_mail_is_nobodys_company(domain):
    assert company(domain) is None
    assert company(f"ida@{domain}") is None
    assert company(f"ida@mail.{domain.upper()}") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ida",
        "ida@",
        "ida@localhost",
        "ida@no",
        "ida@co.uk",
        "ida@b.ck",
        "ida@.",
        "ida@nordic..no",
        "ida@.nordic.no",
        "ida@nordic.no..",
        "ida@192.0.2.1",
        "ida@[192.0.2.1]",
        "192.0.2.1",
        "ida@[IPv6:2001:db8::1]",
        "2001:db8::1",
        "ida@1.2.3.4.5",
        "Ida <ida@nordic.no>",
        "ida@nor dic.no",
        "ida@nordic.no/path",
        "ida@nordic.no:25",
        "ida@☃☃\ud800.no",
        "ida@" + "a" * 64 + ".no",
        "ida@" + "a." * 200 + "no",
        "ida@" + "ä" * 100_000 + ".no",
    ],
)
def test_without_a_domain_there_is_no_company(text):
    assert company(text) is None


@pytest.mark.parametrize("entry", FREE)
def test_the_list_of_free_mail_holds_what_can_be_found(entry):
    """A line that is no registered domain would never match anything."""
    domain = entry.replace(".*", ".com")
    assert company(domain) is None
    assert company(f"x{domain}") or f"x{domain}" in FREE


def test_the_list_of_free_mail_is_long_and_says_nothing_twice():
    assert len(FREE) > 150
    assert len(set(FREE)) == len(FREE)


@given(st.text() | st.from_regex(r"[a-z]{0,3}@?([a-zA-Z0-9äß。_-]{0,9}\.){0,4}(com|co\.uk|xn--p1ai|io|é)?"))
def test_whatever_is_written_a_company_is_a_domain_that_is_its_own_company(text):
    found = company(text)
    assert found is None or (company(found) == found == found.lower() and "." in found)


def test_a_hundred_thousand_people_cost_the_list_one_look_each(monkeypatch):
    looks = []
    monkeypatch.setattr("engine.companies._registered", lambda domain: looks.append(domain) or domain)
    for number in range(1000):
        company(f"ida{number}@once-and-no-more.example")
    assert looks == ["once-and-no-more.example"]


def _alone(program: str, home: Path) -> None:
    """In a process of its own, with a home of its own."""
    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "TLDEXTRACT_CACHE": str(home / "cache")}
    command = [sys.executable, "-B", "-W", "error", "-c", program]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=60)


def test_nothing_is_asked_of_the_network_and_nothing_is_written(tmp_path):
    watched = """
import sys
import tldextract  # urllib3 tries out a local socket while it is imported; that asks nobody anything

def deny(event, arguments):
    if event.startswith("socket.") or event == "os.mkdir":
        raise AssertionError((event, arguments))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise AssertionError((event, arguments))

sys.addaudithook(deny)
from engine.companies import company
assert company("ida@mail.nordic.co.uk") == "nordic.co.uk"
"""
    _alone(watched, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_to_import_it_costs_nothing(tmp_path):
    _alone(
        "import sys, engine.companies\nassert not {'tldextract', 'requests', 'idna'} & set(sys.modules)",
        tmp_path,
    )
