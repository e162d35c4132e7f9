"""What a sequence attaches goes with the letter, also when the file has gone from the folder since."""

from tests.relent.processes import Folder

SEQUENCE = """\
name: Prices
from: sam@acme.example
schedule: {windows: 00:00-24:00}
steps:
  - subject: Our prices
    body: |
      Hello **{{ first_name }}**, here they are.
    attachments: [prices.pdf]
"""


def test_a_file_goes_with_its_letter(tmp_path, database_url):
    folder = Folder(tmp_path, database_url)
    (tmp_path / "prices.yaml").write_text(SEQUENCE)
    (tmp_path / "prices.pdf").write_bytes(b"%PDF-1.7 the prices")
    folder.run("enroll", "prices.yaml", "--email", "ida@nordic.example", "--var", "first_name=Ida")
    (tmp_path / "prices.pdf").unlink()

    folder.run("work", "--burst")

    [mail] = folder.json("messages")
    assert mail["text"] == "Hello Ida, here they are.\n"
    assert mail["html"] == "<p>Hello <strong>Ida</strong>, here they are.</p>\n"
    assert mail["attachments"] == [{"name": "prices.pdf", "content_type": "application/pdf", "size": 19}]
    assert folder.json("drafts") == []


def test_a_file_that_is_not_there_is_told_before_anybody_is_enrolled(tmp_path, database_url):
    folder = Folder(tmp_path, database_url)
    (tmp_path / "prices.yaml").write_text(SEQUENCE)
    told = folder.run("enroll", "prices.yaml", "--email", "ida@nordic.example", code=2)
    assert "prices.yaml:8:19" in told
    assert '"prices.pdf" is not there' in told
