"""Which company an address belongs to, as far as its domain can tell. Nothing is asked of the network."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

_LONGEST = 253  # RFC 1035, without the dot at the end
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
#: Not on the public list, and yet every customer has a name under them: companies that never bought a domain.
_TENANTS = ("onmicrosoft.com", "mail.onmicrosoft.com")


def company(address_or_domain: str) -> str | None:
    """The domain that its owner once registered, in ASCII; None if it says nothing about who works with whom."""
    domain = _domain(address_or_domain)
    return None if domain is None else _company(domain)


@lru_cache(maxsize=131_072)  # a hundred thousand people, each at a company of their own
def _company(domain: str) -> str | None:
    registered = _registered(domain)
    return None if registered is None or _anybodys(registered) else registered


def _domain(text: str) -> str | None:
    """What stands behind the @, in lower case and ASCII; None if it is no name."""
    name = text.rpartition("@")[2].strip().lower()
    if len(name) > _LONGEST + 1:
        return None
    name = (name if name.isascii() else _in_ascii(name)).removesuffix(".")
    return name if _DOMAIN.fullmatch(name) else None


@lru_cache(maxsize=4096)
def _in_ascii(name: str) -> str:
    """`bücher.de` and `xn--bcher-kva.de` are one domain. What cannot be written in ASCII is none."""
    import idna  # only few ever need it

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (UnicodeError, ValueError):
        return ""


def _registered(domain: str) -> str | None:
    """The last label that somebody chose, and what they chose it under.

    Private suffixes count, because who lets names to others is not their employer: `nordic.uk.com` and `fjord.uk.com`
    are two companies, and so are two shops under `myshopify.com`. To take strangers for colleagues would silence a
    sequence for all of them; to take colleagues for strangers costs one letter too many. The landlord himself,
    `ida@github.io`, keeps the name he registered.
    """
    found = _extractor()(domain)
    if found.suffix and found.domain:
        return f"{found.domain}.{found.suffix}"
    labels = domain.split(".")
    if found.is_private:
        return ".".join(labels[-found.registry_suffix.count(".") - 2 :])
    if (
        found.suffix or labels[-1].isdigit()
    ):  # `co.uk` is nobody's, and no domain ends in a number: that is an IP
        return None
    return ".".join(labels[-2:])  # `acme.test`, `nordic.example`: where one tries things out


@lru_cache(maxsize=1)
def _extractor() -> Any:
    """The list that came with the library: the same answer on every machine, and nothing written anywhere."""
    import tldextract  # a tenth of a second, which whoever never asks should not pay

    return tldextract.TLDExtract(
        suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True, extra_suffixes=_TENANTS
    )


def _anybodys(registered: str) -> bool:
    names, families = _free_mail()
    return registered in names or registered.partition(".")[0] in families


@lru_cache(maxsize=1)
def _free_mail() -> tuple[frozenset[str], frozenset[str]]:
    """Domains, and the families that go on under every suffix."""
    lines = Path(__file__).with_name("free_mail.txt").read_text("utf-8").splitlines()
    entries = [entry for line in lines if not line.startswith("#") for entry in line.split()]
    families = frozenset(entry.removesuffix(".*") for entry in entries if entry.endswith(".*"))
    return frozenset(entry for entry in entries if not entry.endswith(".*")), families
