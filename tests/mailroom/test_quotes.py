"""What somebody has said anew, whatever their program puts around it."""

import time

import pytest

from mailroom.quotes import said_anew


@pytest.mark.parametrize(
    "attribution",
    [
        "On Monday, Sam wrote:",
        "On Mon, 2 Mar 2026 at 09:00, Sam Sender <sam@acme.example> wrote:",
        "On Mon, 2 Mar 2026 at 09:00, Sam Sender\n<sam@acme.example> wrote:",
        "On Mon, 2 Mar 2026 at 09:00, Sam\nSender <\nsam@acme.example> wrote:",
        "Sam Sender <sam@acme.example> wrote:",
        "Am Mo., 2. März 2026 um 09:00 Uhr schrieb Sam Sender <sam@acme.example>:",
        "Am 02.03.26 um 09:00 schrieb Sam Sender:",
        "Sam Sender <sam@acme.example> schrieb am Mo., 2. März 2026, 09:00:",
        "Le lun. 2 mars 2026 à 09:00, Sam Sender <sam@acme.example> a écrit :",
        "El lun, 2 mar 2026 a las 9:00, Sam Sender (<sam@acme.example>) escribió:",
        "Il giorno lun 2 mar 2026 alle ore 09:00 Sam Sender <sam@acme.example> ha scritto:",
        "Em seg., 2 de mar. de 2026 às 09:00, Sam Sender <sam@acme.example> escreveu:",
        "Op ma 2 mrt 2026 om 09:00 schreef Sam Sender <sam@acme.example>:",
        "Den mån 2 mars 2026 kl 09:00 skrev Sam Sender <sam@acme.example>:",
        "man. 2. mar. 2026 kl. 09:00 skrev Sam Sender <sam@acme.example>:",
        "ma 2. maalisk. 2026 klo 9.00 Sam Sender (sam@acme.example) kirjoitti:",
        "W dniu pon., 2 mar 2026 o 09:00 Sam Sender <sam@acme.example> napisał(a):",
        "Dne po 2. 3. 2026 9:00 Sam Sender <sam@acme.example> napsal:",
        "Sam Sender <sam@acme.example>, 2 Mar 2026 Pzt, 09:00 tarihinde şunu yazdı:",
        "пн, 2 мар. 2026 г. в 09:00, Sam Sender <sam@acme.example> написал:",
        "2026年3月2日(月) 9:00 Sam Sender <sam@acme.example>のメール:",
        "Sam Sender <sam@acme.example> 于2026年3月2日周一 09:00写道：",
    ],
)
def test_what_a_program_quotes_was_not_said_anew(attribution: str) -> None:
    assert said_anew(f"Yes.\n\n{attribution}\n> Would you?\n> Sam\n") == "Yes."
    assert said_anew(f"Yes.\r\n\r\n{attribution}\r\n\r\n> Would you?\r\n") == "Yes."


def test_a_quote_without_marks_is_one_if_it_says_when_or_who() -> None:
    attribution = "On Mon, 2 Mar 2026 at 09:00, Sam <sam@acme.example> wrote:"

    assert said_anew(f"Yes.\n\n{attribution}\n\nWould you?\nSam") == "Yes."


def test_a_sentence_that_only_sounds_like_it_stays() -> None:
    text = "On the price you wrote:\nit is high. We agree.\n\nIda"

    assert said_anew(text) == text


@pytest.mark.parametrize(
    "history",
    [
        "-----Original Message-----\nFrom: Sam\nSent: Monday\n\nWould you?",
        "----- Ursprüngliche Nachricht -----\nVon: Sam\n\nWould you?",
        "---------- Forwarded message ---------\nFrom: Sam\n\nWould you?",
        "________________________________\nFrom: Sam Sender <sam@acme.example>\nSent: Monday\nTo: Ida\n\nWould you?",
        "From: Sam Sender <sam@acme.example>\nSent: Monday, 2 March 2026 09:00\nTo: Ida\nSubject: x\n\nWould you?",
        "*From:* Sam Sender\n*Date:* Monday\n\nWould you?",
        "Von: Sam Sender\nGesendet: Montag, 2. März 2026 09:00\nAn: Ida\nBetreff: x\n\nWould you?",
        "De : Sam Sender\nEnvoyé : lundi 2 mars 2026 09:00\nÀ : Ida\n\nWould you?",
        "Van: Sam\nVerzonden: maandag\nAan: Ida\n\nWould you?",
    ],
)
def test_from_a_head_on_everything_is_history(history: str) -> None:
    assert said_anew(f"Yes, gladly.\nTomorrow?\n\n{history}") == "Yes, gladly.\nTomorrow?"


def test_who_answers_between_the_lines_is_heard() -> None:
    text = "On Monday, Sam wrote:\n> One?\nYes.\n> Two?\n>> Three?\nNo.\n"

    assert said_anew(text) == "Yes.\nNo."


def test_who_answers_below_is_heard() -> None:
    assert said_anew("On Monday, Sam wrote:\n> Would you?\n\nYes.") == "Yes."


@pytest.mark.parametrize(
    "signature", ["-- \nIda\nNordic AB", "--\nIda", "Sent from my iPhone", "Von meinem iPhone gesendet"]
)
def test_a_signature_says_nothing(signature: str) -> None:
    assert said_anew(f"Yes.\n\n{signature}") == "Yes."


def test_a_letter_that_is_only_a_signature_keeps_it() -> None:
    assert said_anew("--\nIda") == "--\nIda"


@pytest.mark.parametrize("text", ["", "\n", "> one\n> two", "-----Original Message-----\nHi"])
def test_where_nothing_is_said_nothing_is_left(text: str) -> None:
    assert said_anew(text) == ""


@pytest.mark.parametrize("text", ["Yes.", "One.\n\nTwo:\n- a\n- b", "From: here to there\nwe go", "a -- b"])
def test_what_is_said_stays_as_it_is(text: str) -> None:
    assert said_anew(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 500_000,
        "On a wrote:\n" * 50_000,
        "a wrote:\n" * 50_000,
        "On " * 300_000 + ":",
        ("on " + "wrote " * 60 + ":\n") * 3_000,
        "From: x\n" * 60_000,
        ("-" * 20 + "\n") * 50_000,
        ("x:" * 10 + "\n") * 50_000,
    ],
)
def test_no_text_is_a_burden(text: str) -> None:
    began = time.perf_counter()
    said_anew(text)

    assert time.perf_counter() - began < 5
