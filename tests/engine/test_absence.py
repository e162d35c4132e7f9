"""When is somebody back? Messages as people write them, and what we dare to read in them."""

from datetime import date, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.absence import day_of_return

TODAY = date(2026, 3, 4)  # a Wednesday


PHRASES = (Path(__file__).parents[2] / "engine" / "absence.txt").read_text("utf-8")


def back(text: str, *, subject: str = "", today: date = TODAY) -> str:
    return str(day_of_return(subject, text, today))


ENGLISH = [
    ("I will be back on 12 March.", "2026-03-12"),
    ("I will return on Thursday, March 12th.", "2026-03-12"),
    ("I'm away right now. Back in the office on March 12, 2026.", "2026-03-12"),
    ("I am out of the office until 11 March 2026 with no access to email.", "2026-03-12"),
    (
        "Thank you for your message. I am out of the office, with limited access to e-mail, until 11 March.",
        "2026-03-12",
    ),
    ("I'm on annual leave from Monday 2 March to Wednesday 11 March (inclusive).", "2026-03-12"),
    ("I am on vacation from 2 March through 11 March, returning Thursday, March 12.", "2026-03-12"),
    ("I will be out of the office from March 2nd to March 11th.", "2026-03-12"),
    ("Out of office March 2-11. For urgent matters, call 555-0199.", "2026-03-12"),
    ("I'm on holiday 2 - 11 March.", "2026-03-12"),
    ("I am out until Monday 9 March and will be back on Tuesday 10 March.", "2026-03-10"),
    ("I'm out of office returning on the 12th of March.", "2026-03-12"),
    ("I will be back on the 12th.", "2026-03-12"),
    ("I'm on parental leave and will return to work on 1 September 2026.", "2026-09-01"),
    ("Back from vacation on 12 March!", "2026-03-12"),
    ("I am out of the office until 2026-03-11.", "2026-03-12"),
    ("Return date: 2026-03-12", "2026-03-12"),
    ("Return: 12-Mar-2026", "2026-03-12"),
    ("Absent from 02.03.2026 until 11.03.2026", "2026-03-12"),
    ("Currently out of the office. Back 25/03/2026.", "2026-03-25"),
    ("Currently out of the office. Back 3/25/2026.", "2026-03-25"),
    ("Out of the office until 12/03/2026 (inclusive). I travel on 27/02/2026.", "2026-03-13"),
    ("Back on Monday 9/3/2026.", "2026-03-09"),  # 9 March is a Monday, 3 September is not
    ("I'll be back on Monday.", "2026-03-09"),
    ("I'm out today and will be back tomorrow.", "2026-03-05"),
    ("I am out of the office today.", "2026-03-05"),
    ("I am out of the office today and tomorrow.", "2026-03-06"),
    ("Sorry, I'm out sick and expect to return the day after tomorrow.", "2026-03-06"),
    ("I will be back next Monday.", "2026-03-09"),
    ("I am away until Friday.", "2026-03-07"),
    ("I will not be back until 12 March.", "2026-03-12"),
    ("I won't be returning before Thursday 12 March 2026.", "2026-03-12"),
    ("I won't be able to read your mail until 11 March.", "2026-03-12"),
    ("I will respond to your message after 11 March.", "2026-03-12"),
    ("I'll get back to you on 12 March.", "2026-03-12"),
    ("From 12 March I will be available again.", "2026-03-12"),
    ("On Thursday, 12 March, I'll be back at my desk.", "2026-03-12"),
    ("Our office is closed until 11 March 2026.", "2026-03-12"),
    ("We are closed between 2 and 11 March.", "2026-03-12"),
    ("I'm away from 2 March at 12:00 until 11 March at 18:00.", "2026-03-12"),
    ("I'm at a conference until Friday 6 March, replies will be slow.", "2026-03-07"),
    ("OOO until 11 Mar. Ping Bob.", "2026-03-12"),
    ("I'm on leave from 2 to 6 March 2026 and will revert on 9 March 2026.", "2026-03-09"),
    ("I am not in the office before Monday 9 March.", "2026-03-09"),
    ("We are closed from 2 March and reopen on 9 March.", "2026-03-09"),
    ("I will be out of the office until 8:00 am on Monday, March 9.", "2026-03-10"),
    ("Out of office until the end of the day, Friday 6 March.", "2026-03-07"),
    ("Back in the office on Monday the 9th.", "2026-03-09"),
    ("I'm out of the office 3/2/26 - 3/13/26.", "2026-03-14"),
    ("I return on or about April 6, 2026.", "2026-04-06"),
    ("Please contact me after 11 March.", "2026-03-12"),
    ("Due to a public holiday on 6 March I will be back on 9 March.", "2026-03-09"),
    ("I'm out of the office from March 2 - 11 April.", "2026-04-12"),
    ("Back on March 12 - 14:00 at the latest.", "2026-03-12"),
    ("I am out of the office until 8 am on Monday, March 9.", "2026-03-10"),
    ("Out-of-office until approx. 11 March. Bob can help.", "2026-03-12"),
    ("I'm out from today until 11 March.", "2026-03-12"),
    ("I'm out of the office from 5/3/2026 until 20 June 2026.", "2026-06-21"),
    ("My return flight is on 10 March, and I'm back in the office on 12 March.", "2026-03-12"),
    ("I am away, our team is smaller these days. Back in our office on 12 March.", "2026-03-12"),
    (
        "Hi,\n\nthanks for your mail. I am on vacation\nuntil March 11th and will read my mail when I am\nback.\n\nIda",
        "2026-03-12",
    ),
    ("Out of office\n\n2 March 2026 - 11 March 2026\n\nBob takes care of you.", "2026-03-12"),
    ("Absence\nFrom: 2 March 2026\nTo: 11 March 2026", "2026-03-12"),
    ("I’m out of office – back on 12\u00a0March", "2026-03-12"),
    ("I AM OUT OF THE OFFICE UNTIL MARCH 11.", "2026-03-12"),
    ("I'll be out of the office starting Friday, February 27 and returning Monday, March 9.", "2026-03-09"),
]
OTHERS = [
    # German
    ("Ich bin ab dem 12.03. wieder erreichbar.", "2026-03-12"),
    ("Ich bin bis einschließlich 11. März nicht im Büro.", "2026-03-12"),
    ("Ich bin bis zum 11.03.2026 im Urlaub und danach wieder für Sie da.", "2026-03-12"),
    ("Vom 2. bis 11. März bin ich nicht erreichbar.", "2026-03-12"),
    (
        "Vielen Dank für Ihre Nachricht. Ich bin vom 02.03. bis zum 11.03.2026 abwesend. Meine Vertretung ist Frau Berg.",
        "2026-03-12",
    ),
    ("Ich bin am Donnerstag, den 12.03., zurück.", "2026-03-12"),
    ("Ab Donnerstag, den 12.03.2026, bin ich wieder im Büro.", "2026-03-12"),
    ("Ich bin erst nach dem 11.03. wieder im Haus.", "2026-03-12"),
    ("Ich bin bis 11/3/2026 nicht im Büro.", "2026-03-12"),  # nobody writes the month first in German
    ("Ihre E-Mail wird nach meiner Rückkehr am 12. März bearbeitet.", "2026-03-12"),
    ("Guten Morgen, ich bin ab Montag wieder da.", "2026-03-09"),
    ("Ich bin morgen wieder im Büro.", "2026-03-05"),
    ("Urlaub: 02.03. - 11.03.2026", "2026-03-12"),
    ("Ich befinde mich im Urlaub und bin am 12. wieder da.", "2026-03-12"),
    ("Bis 11. März vertritt mich Herr Tal.", "2026-03-12"),
    ("Ich bin in der Zeit vom 27.2. - 11.3. nicht im Haus. Tel. 0151/12345", "2026-03-12"),
    ("Ich bin voraussichtlich erst am Mo., 09.03., wieder da.", "2026-03-09"),
    ("Ich bin heute nicht im Büro. Morgen bin ich wieder für Sie da.", "2026-03-05"),
    ("Unser Büro ist bis 11.03. geschlossen.", "2026-03-12"),
    ("Ich bin bis Mo., 9.3., nicht da.", "2026-03-10"),
    ("Ich bin im Urlaub und am Donnerstag, 12. März, zurück.", "2026-03-12"),
    # French
    ("Je suis absent jusqu'au 11 mars inclus.", "2026-03-12"),
    ("Je suis en congés du 2 au 11 mars 2026. En cas d'urgence, contactez Luc.", "2026-03-12"),
    ("Je serai de retour le 12 mars.", "2026-03-12"),
    (
        "Absente du bureau jusqu’au mercredi 11/03/2026, je traiterai votre message à mon retour.",
        "2026-03-12",
    ),
    ("De retour de vacances le jeudi 12 mars", "2026-03-12"),
    ("A partir du 12 mars, je serai à nouveau joignable.", "2026-03-12"),
    ("Je serai de retour le 1er avril.", "2026-04-01"),
    ("Je suis absente jusqu'au 11/3/2026.", "2026-03-12"),
    ("Je reviens lundi prochain.", "2026-03-09"),
    ("Je ne serai pas joignable avant le 9 mars.", "2026-03-09"),
    ("Absent jusqu'au mar. 7 avril.", "2026-04-08"),
    ("Absence du 02/03/2026 au 11/03/2026", "2026-03-12"),
    # Spanish
    ("Estaré fuera de la oficina hasta el 11 de marzo.", "2026-03-12"),
    ("Estoy de vacaciones del 2 al 11 de marzo de 2026.", "2026-03-12"),
    ("Vuelvo el jueves 12 de marzo.", "2026-03-12"),
    ("Regresaré a la oficina el día 12/03/2026.", "2026-03-12"),
    ("No estaré disponible hasta el 11/3.", "2026-03-12"),
    ("Mi regreso será el próximo lunes.", "2026-03-09"),
    ("Estoy fuera del lunes 2 al miércoles 11 de marzo. Regreso el jueves 12.", "2026-03-12"),
    # Portuguese
    ("Estou de férias até 11 de março.", "2026-03-12"),
    ("Estarei ausente de 2 a 11 de março de 2026.", "2026-03-12"),
    ("Estou fora do escritório e volto na segunda-feira, 9 de março.", "2026-03-09"),
    ("Volto na segunda-feira.", "2026-03-09"),
    ("Regresso a 12 de março.", "2026-03-12"),
    ("Estarei de volta no dia 12/03/2026.", "2026-03-12"),
    # Italian
    ("Sono fuori ufficio fino all'11 marzo.", "2026-03-12"),
    ("Sarò in ferie dal 2 all'11 marzo 2026.", "2026-03-12"),
    ("Rientrerò giovedì 12 marzo.", "2026-03-12"),
    ("Sono assente fino al 11/03/2026 compreso.", "2026-03-12"),
    # Dutch
    ("Ik ben afwezig tot en met 11 maart.", "2026-03-12"),
    ("Ik ben met vakantie van 2 t/m 11 maart.", "2026-03-12"),
    ("Vanaf donderdag 12 maart ben ik weer bereikbaar.", "2026-03-12"),
    ("Ik ben 12-03-2026 weer terug op kantoor.", "2026-03-12"),
    ("Na 11 maart beantwoord ik uw bericht.", "2026-03-12"),
    # Norwegian, Danish, Swedish
    ("Jeg er tilbake 12. mars.", "2026-03-12"),
    ("Jeg har ferie til og med 11. mars og er tilbake på kontoret torsdag 12. mars.", "2026-03-12"),
    ("Jeg er på ferie f.o.m. 2. mars t.o.m. 11. mars.", "2026-03-12"),
    ("Fra 12. mars er jeg tilbake.", "2026-03-12"),
    ("Jeg er ikke på kontoret før mandag.", "2026-03-09"),
    ("Jeg holder ferie og er tilbage på kontoret d. 12. marts.", "2026-03-12"),
    ("Jeg er fraværende til den 11/3.", "2026-03-12"),
    ("Jag är på semester t.o.m. 11 mars.", "2026-03-12"),
    ("Jag är tillbaka måndagen den 9 mars.", "2026-03-09"),
    ("Jag är tillbaka på måndag.", "2026-03-09"),
    ("Jag är inte på kontoret mellan den 2 och 11 mars.", "2026-03-12"),
    # Finnish
    ("Olen lomalla 11.3.2026 asti.", "2026-03-12"),
    ("Palaan töihin 12.3.", "2026-03-12"),
    ("Olen poissa toimistolta 2.3.-11.3.2026.", "2026-03-12"),
    ("Olen jälleen tavoitettavissa 12. maaliskuuta alkaen.", "2026-03-12"),
    # Polish
    ("Jestem na urlopie do 11 marca 2026 r.", "2026-03-12"),
    ("Wracam 12 marca.", "2026-03-12"),
    ("Jestem nieobecny w dniach od 2 do 11 marca.", "2026-03-12"),
    ("Będę ponownie dostępna od 12.03.2026.", "2026-03-12"),
]


@pytest.mark.parametrize(("text", "day"), ENGLISH + OTHERS)
def test_the_day_of_return_is_read_as_it_was_meant(text, day):
    assert back(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Thank you, we got your message and answer within 24 hours. We are here 24/7.",
        "Our fair takes place on 3 June.",
        "I am out of the office. Our fair takes place on 3 June.",
        "I'm back! Join our webinar on 3 June.",
        "When I'm back, I'd love to meet you at the fair on 3 June.",
        "I am away from my desk, our sale ends 11 March.",
        "Our summer sale runs until 30 June. 20% off until 30 June!",
        "I am out of office.\n\nTrade fair until 24 April",
        "I'm out of office. Please register until 20 March.",
        "Bitte melden Sie sich bis zum 20. März an. Ich bin im Urlaub.",
        "Unsere Messe findet am 10. März wieder statt.",
        "Sans retour de votre part avant le 12 mars, le dossier sera clos.",
        "Please contact me to book a demo on 12 March.",
        "In reply to your message of 10 March: I am out.",
        "Please return the form on 12 March.",
        "My return flight is on 12 March.",
        "I no longer work here. As of 1 April 2026 please write to Bob.",
        "Ab 1. April 2026 bin ich nicht mehr für Acme tätig.",
        "We moved. Our new address is 12 March Street; we are back soon.",
        "Office hours: Monday to Friday 9-17. I'm out of the office.",
        "I do not work on Fridays.",
        "Ik ben op dinsdag en donderdag niet aanwezig.",
        "You can return items until 30 April.",
        "Our support is back 24/7.",
        "When I'm back, let us meet on 3 June.",
        "I am back with our webinar on 12 March.",
        "Great sale!\n\nUntil 30 June.",
        "I am on leave from 2 March and 12 March is the big day.",
        "I am back on 40.12.11.26",
        "I am back on 12.11.26.40",
        "I came back last Friday.",
        "Guten Morgen, ich bin bald wieder da.",
        "Ich bin wieder in Raum 9. Am 12. März ist Ostern.",
        "I'm on leave from 10 March, I will be back soon.",
        "Ich bin freitags nicht im Büro.",
        "Call +47 22.11.10.09, I'm back soon.",
        "I'm back at 10.10, on the 12th floor.",
        "See you tomorrow",
        "Guten Morgen, ich bin im Urlaub und bald wieder da.",
    ],
)
def test_a_day_that_is_not_about_the_return_is_none(text):
    assert back(text) == "None"


@pytest.mark.parametrize(
    "text",
    [
        "I'll be back soon.",
        "I'll be back in April.",
        "I'll be back next week.",
        "I am out of the office until further notice.",
        "I'm out of the office until the end of March.",
        "Ich bin in KW 10 im Urlaub.",
        "I will be back between 12 and 14 March.",
        "My colleague Bob is back on 10 March, I return on 12 March.",
        "I am on vacation until 11 March. I am on vacation until 18 March.",
        "I'm away until 20 March. I'm back on 12 March.",
        "I'll be back next Friday.",  # in two days, or in nine?
        "Back on Wednesday.",  # today is one
        "I am away until Wednesday.",
        "I am back on Tuesday the 12th.",  # the 12th is a Thursday
        "Back on 30 February.",
    ],
)
def test_what_is_vague_or_contradicts_itself_is_none(text):
    assert back(text) == "None"


@pytest.mark.parametrize(
    "text",
    [
        "I'm back on 9/8/2026.",
        "Out of office until 9/8/2026.",
        "Out of office until 12/03/2026 (inclusive).",
        "I'm away from 2/3/2026 to 11/3/2026.",
        "Back on 9-8-2026.",
        "Back 9/8",
        "OOO 3/2 - 3/11",
    ],
)
def test_a_date_of_two_readings_is_none_in_english(text):
    assert back(text) == "None"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Back on 9.8.2026.", "2026-08-09"),  # with dots it has one reading
        ("Back on 9/9/2026.", "2026-09-09"),
        ("Back on Sunday 9/8/2026.", "2026-08-09"),
        ("Back on 9/8/2026 (Tuesday).", "2026-09-08"),
        ("I'm away from 28/02/2026 to 09/03/2026.", "2026-03-10"),
        ("I'm away from 02/28/2026 to 04/03/2026.", "2026-04-04"),
        ("Thursday 26/02/2026 I left, returning Thursday 12/03/2026.", "2026-03-12"),
        ("Ich bin ab 9/8/2026 wieder da.", "2026-08-09"),
        ("Je serai de retour le 9/8/2026.", "2026-08-09"),
        ("Vuelvo el 9/8/2026.", "2026-08-09"),
        ("I am out of the office until 11/03/2026. Je suis absent jusqu'au 11/03/2026.", "2026-03-12"),
    ],
)
def test_the_message_itself_may_settle_which_of_two_readings_it_means(text, day):
    assert back(text) == day


@pytest.mark.parametrize(
    ("today", "text", "day"),
    [
        ("2026-12-23", "Back on 5 January.", "2027-01-05"),
        ("2026-12-23", "I'm away until 5 January.", "2027-01-06"),
        ("2026-12-28", "Out of the office 24 December - 2 January.", "2027-01-03"),
        ("2026-12-28", "Out of the office 24.12. - 2.1.2027.", "2027-01-03"),
        ("2026-03-14", "Back on 12 March.", "None"),  # stale: not in a year
        ("2026-03-12", "Back on 12 March.", "None"),  # there they are
        ("2026-03-11", "I'm away until 11 March.", "2026-03-12"),
        ("2026-03-12", "I'm away until 11 March.", "None"),
        ("2026-01-02", "Back on 30 December.", "None"),
        ("2026-12-20", "Back on 12 March.", "2027-03-12"),
        ("2026-12-20", "Back on 1 November.", "None"),
        ("2026-03-04", "Back on the 2nd.", "None"),
        ("2026-03-28", "Back on the 2nd.", "2026-04-02"),
        ("2027-06-01", "Back on 29 February.", "2028-02-29"),
        ("2026-03-04", "Back on 12 March 2025.", "None"),
        ("2026-03-04", "Back on 8 April 2027.", "2027-04-08"),  # the last day that we believe in
        ("2026-03-04", "Back on 9 April 2027.", "None"),
        ("2026-03-04", "I am away until 8 April 2027.", "None"),
        ("2026-03-04", "I was out of the office until 1 March. I'm out until 11 March.", "2026-03-12"),
        ("2026-03-05", "Ich bin bis Montag nicht da.", "2026-03-10"),
        ("2026-03-08", "I'm back next Monday.", "2026-03-09"),
        ("2026-03-09", "I'm back next Monday.", "None"),
        ("9999-12-31", "I'm back tomorrow, or on Monday, or the 1st.", "None"),
        ("0001-01-01", "I am out from Monday until tomorrow.", "0001-01-03"),
    ],
)
def test_a_day_is_the_next_of_its_name_and_never_the_past(today, text, day):
    assert back(text, today=date.fromisoformat(today)) == day


@pytest.mark.parametrize(
    "text",
    [
        "I am on leave from 20 April to 24 April.",
        "I will be out of the office on Friday 6 March.",
        "I am on leave starting 12 March.",
        "I am on leave from 9 to 11 March.",
        "Ich bin im Urlaub vom 20. bis 24. April.",
        "Ich bin ab dem 12.03. im Urlaub.",
        "Unser Büro ist vom 24.12.2026 bis 02.01.2027 geschlossen.",
        "I will have limited access to my inbox from Dec 28 to Jan 5.",
    ],
)
def test_an_absence_that_is_yet_to_come_says_nothing_about_today(text):
    assert back(text) == "None"


def test_an_absence_that_begins_within_the_next_days_is_believed():
    assert back("I'm on leave from 6 to 11 March.") == "2026-03-12"


@pytest.mark.parametrize(
    ("subject", "text", "day"),
    [
        ("Out of office until 11 March", "I'll read your mail when I'm back.", "2026-03-12"),
        ("Automatic reply: Back on 12 March", "", "2026-03-12"),
        ("Abwesend vom 2.3. bis 11.3.", "Vielen Dank für Ihre Nachricht.", "2026-03-12"),
        ("Out of office", "From 2 March to 11 March.", "2026-03-12"),
        ("Vacation", "Until 11 March.", "2026-03-12"),
        ("", "Bis einschließlich 11. März", "2026-03-12"),
        ("Automatic reply: Our fair on 3 June", "Thank you for your mail.", "None"),
        ("Out of office Re: back on 12 March?", "I am out.", "None"),  # that was us
        ("Abwesenheitsnotiz AW: wieder da am 12. März", "Ich bin im Urlaub.", "None"),
    ],
)
def test_the_subject_counts_as_far_as_it_is_theirs(subject, text, day):
    assert back(text, subject=subject) == day


HISTORIES = [
    "On Mon, 2 Mar 2026 at 10:00, Sam Berg <sam@acme.example> wrote:\n",
    "On Mon, 2 Mar 2026 at 10:00, Sam Berg\n<sam@acme.example> wrote:\n",
    "Am 02.03.2026 um 10:00 schrieb Sam Berg:\n",
    "Le lun. 2 mars 2026 à 10:00, Sam <sam@acme.example> a écrit :\n",
    "El lun, 2 mar 2026 a las 10:00, Sam (<sam@acme.example>) escribió:\n",
    "Op ma 2 mrt 2026 om 10:00 schreef Sam <sam@acme.example>:\n",
    "Den mån 2 mars 2026 kl 10:00 skrev Sam <sam@acme.example>:\n",
    "ma 2. maalisk. 2026 klo 10.00 Sam (sam@acme.example) kirjoitti:\n",
    "pon., 2 mar 2026 o 10:00 Sam <sam@acme.example> napisał(a):\n",
    "-----Original Message-----\n",
    "-----Ursprüngliche Nachricht-----\nVon: Sam\n",
    "---------- Forwarded message ---------\n",
    "________________________________\nFrom: Sam Berg <sam@acme.example>\nSent: Monday, 2 March 2026\nTo: Ida\n",
    "Von: Sam Berg\nGesendet: Montag, 2. März 2026 10:00\nAn: Ida\nBetreff: Hallo\n",
    "De : Sam Berg\nEnvoyé : lundi 2 mars 2026\nÀ : Ida\nObjet : Bonjour\n",
    "*From:* Sam\n*Date:* 2 March\n*Subject:* Hello\n",
    "> ",
]


@pytest.mark.parametrize("history", HISTORIES)
def test_what_they_answer_to_is_not_what_they_say(history):
    ours = f"\n{history}I am away until 18 March and back on 20 March."
    assert back(f"I am out of the office.\n{ours}") == "None"
    assert back(f"I am out of the office until 11 March.\n{ours}") == "2026-03-12"


@pytest.mark.parametrize(
    "text",
    [
        "On 12 March I will be back.\n\nAs my boss wrote:\nrest well.",
        "Absence\nFrom: 2 March\nTo: 11 March",
        "--- Out of office ---\nI'm back on 12 March.",
    ],
)
def test_their_own_words_are_not_taken_for_history(text):
    assert back(text) == "2026-03-12"


def test_only_the_beginning_of_a_message_is_looked_at():
    assert back("Hello. " * 100 + "I am back on 12 March.") == "2026-03-12"
    assert back("Hello. " * 1000 + "I am back on 12 March.") == "None"


def test_every_language_is_read_without_its_accents_and_in_capitals():
    assert back("ICH BIN AB DEM 12. MAERZ ZURUECK") == "2026-03-12"
    assert back("RETOUR LE 1ER AOÛT") == "2026-08-01"
    assert back("Je serai de retour le 1er aou\u0302t.") == "2026-08-01"


def _named(language: str, name: str) -> list[str]:
    lines = [line.partition(": ")[2] for line in language.splitlines() if line.startswith(f"{name}: ")]
    return [group.strip() for line in lines for group in line.split(";")]


@pytest.mark.parametrize(
    "language", PHRASES.split("\n[")[1:], ids=lambda language: language.partition("]")[0]
)
def test_a_language_names_all_months_and_weekdays_and_sounds_like_no_english(language):
    assert len(_named(language, "months")) == 12
    assert len(_named(language, "weekdays")) == 7
    sounds = set(_named(language, "sounds")[0].split())
    assert sounds
    assert language.startswith("English") or not sounds & set(_named(PHRASES, "sounds")[0].split())


fragments = st.sampled_from(
    [text for text, _ in ENGLISH + OTHERS]
    + [
        "until",
        "bis",
        "back on",
        "out of office",
        "12",
        "/",
        ".",
        "-",
        "31",
        "2027",
        "29 February",
        "Monday",
        "next",
    ]
    + [
        "the 31st",
        "tomorrow",
        "från",
        "3/4/26",
        "12.12.",
        "from",
        "to",
        "and",
        "\n",
        "\n\n",
        "\n>",
        ",",
        "March",
        "am",
    ]
)
messages = st.lists(fragments | st.text(max_size=8), max_size=30).map(" ".join) | st.text()


@given(messages, messages, st.dates())
def test_whatever_strangers_write_the_day_is_soon_or_none(subject, text, today):
    found = day_of_return(subject, text, today)
    assert found is None or 0 < (found - today).days <= 400


@given(st.dates(date(2020, 1, 1), date(2090, 1, 1)), st.integers(1, 300))
def test_every_day_of_the_next_months_can_be_said(today, days):
    day = today + timedelta(days=days)
    assert day_of_return("", f"I am back on {day:%A, %d %B %Y}.", today) == day
    assert day_of_return("", f"I am back on {day:%B} {day.day}.", today) == day
    assert day_of_return("", f"Ich bin am {day:%d.%m.} wieder da.", today) == day
    assert day_of_return("", f"Away until {day:%Y-%m-%d}", today) == day + timedelta(days=1)


HOSTILE = [
    "1/2 ",
    "1.",
    "1:1:",
    "12 march ",
    "back 1/2 ",
    "2 and ",
    "8 am ",
    "monday , ",
    "out of the ",
    "t. ",
    "-",
    "1",
    ">",
    "from:\n",
    "on x\n",
    "on x wrote\n",
    " ",
    "\n",
    "\ufdfa",
    "a\u0301",
    "\ud800",
    "(",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_megabyte_of_anything_takes_no_time(hostile):
    text = hostile * (1_000_000 // len(hostile))
    began = perf_counter()
    for whole in (text, f"I am out until {text}", f"{text} back on 12 March"):
        found = day_of_return(whole, whole, TODAY)
        assert found is None or found > TODAY
    assert perf_counter() - began < 2
