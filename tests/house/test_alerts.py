"""The alert rules that ship ask for numbers that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relent.metrics import NUMBERS

ROOT = Path(__file__).parents[2]
GROUPS = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text("utf-8"))["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
KNOWN = {number.name: number for number in NUMBERS}


def _asked_for(rule: dict[str, Any]) -> set[str]:
    """As they are called, without what the parts of a histogram bear."""
    names = re.findall(r"\brelent_\w+", rule["expr"])
    return {re.sub("_(bucket|sum|count)$", "", name) for name in names}


def test_every_rule_has_a_name_of_its_own():
    assert len(RULES) == sum(len(group["rules"]) for group in GROUPS)
    assert all(set(group) == {"name", "rules"} for group in GROUPS)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_asks_for_what_there_is_and_says_what_to_do(name):
    rule = RULES[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert _asked_for(rule)
    assert _asked_for(rule) <= set(KNOWN)
    assert rule["expr"].count("(") == rule["expr"].count(")")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_speaks_of_labels_that_there_are(name):
    rule = RULES[name]
    for metric, labels in re.findall(r"\b(relent_\w+)\{([^}]*)\}", rule["expr"]):
        assert set(re.findall(r"(\w+)[=!]", labels)) <= set(KNOWN[metric].labels)
    labels = {label for metric in _asked_for(rule) for label in KNOWN[metric].labels}
    said = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels


def test_only_a_histogram_has_buckets():
    asked = {each for rule in RULES.values() for each in re.findall(r"\b(relent_\w+)_bucket\b", rule["expr"])}
    assert asked
    assert {KNOWN[name].kind for name in asked} == {"histogram"}


def test_each_value_that_is_spoken_of_is_one_that_is_told():
    """Of the labels whose values are fixed."""
    from relent.metrics import Meters

    told = {
        (sample.name, label, value)
        for family in Meters().collect()
        for sample in family.samples
        for label, value in sample.labels.items()
    }
    asked = {
        (metric, label, value)
        for rule in RULES.values()
        for metric, labels in re.findall(r"\b(relent_\w+)\{([^}]*)\}", rule["expr"])
        for label, value in re.findall(r'(\w+)="(\w+)"', labels)
    }
    assert asked
    assert asked <= told
