"""A folder of sequences for the tests of pages, and patience with numbers that are counted."""

import pytest

from dashboard.counted import Counted

#: As people who mean harm call things.
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e"

QUICK = """\
name: Quick question
from: sam@acme.example
schedule: { timezone: UTC, windows: "00:00-24:00" }
limits: { per_mailbox: 100000/day }
steps:
  - id: hello
    subject: Quick question
    body: Hello
  - id: bump
    after: 3d
    body: Did you see it?
  - id: bye
    after: 5bd
    body: I stop here.
"""


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is counted is waited for: a machine that is busy with other things is no illness of a page."""
    usual = Counted.__init__.__kwdefaults__
    monkeypatch.setattr(Counted.__init__, "__kwdefaults__", {**usual, "patience": 30.0})
