"""What somebody has said anew, without what they quote and without their signature. Pure."""

# ruff: noqa: RUF001 (the letters of other alphabets are meant)

import re
from collections.abc import Iterator, Sequence


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


#: `On Monday, Sam wrote:` as programs write it above what they quote. Each is tried on one line of bounded length.
_ATTRIBUTIONS = _compiled(
    r"on .+ wrote ?:",
    r"(?:am|on) .+ schrieb(?: .+)? ?:",
    r"le .+ a écrit ?:",
    r"el .+ escribió ?:",
    r"il (?:giorno )?.+ ha scritto ?:",
    r"em .+ escreveu ?:",
    r"op .+ (?:schreef|het volgende geschreven)(?: .+)? ?:",
    r"(?:den|på|(?:tor|man|tir|ons|fre|lør|søn|tis|mån|sön|lör)\.?) .+ skrev(?: .+)? ?:",
    r"(?:w dniu|dnia) .+ (?:napisał|napisała|napisał\(a\)|pisze) ?:",
    r"dne .+ napsal(?:a|\(a\))? ?:",
)
#: Those that begin with a name or a date: where they begin is seen less well.
_LOOSE = _compiled(
    r".+<[^<>]+@[^<>]+> wrote ?:",
    r".+ schrieb am .+:",
    r".+ kirjoitti(?: .+)? ?:",
    r".+ tarihinde .+ yazdı ?:",
    r".+ (?:написал|написала|написал\(а\)|пишет)(?: .+)? ?:",
    r".+(?:のメール|書きました|さんは書きました) ?[:：]",
    r".+写道 ?[:：]",
)
_LONGEST_ATTRIBUTION = 400
_MOST_LINES = 3  #: programs break lines, also this one

#: From here on everything is history.
_RULE = re.compile(
    r"-{2,20} ?(?:original message|original appointment|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht|"
    r"originalnachricht|message d'origine|message original|message transféré|mensaje original|mensaje reenviado|"
    r"mensagem original|mensagem encaminhada|messaggio originale|messaggio inoltrato|oorspronkelijk bericht|"
    r"doorgestuurd bericht|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|alkuperäinen viesti|"
    r"wiadomość oryginalna|původní zpráva|исходное сообщение|пересланное сообщение|元のメッセージ|原始邮件) ?-{2,20}",
    re.IGNORECASE,
)
_FROM = re.compile(
    r"[*_]{0,2}(?:from|von|de|da|van|från|fra|lähettäjä|od|от|kimden|差出人|发件人) ?[:：][*_]{0,2} ?\S",
    re.IGNORECASE,
)
_SENT = re.compile(
    r"[*_]{0,2}(?:sent|date|gesendet|datum|envoyé|enviado(?: el)?|fecha|data|inviato|verzonden|skickat|sendt|lähetetty|wysłano|"
    r"odesláno|отправлено|дата|gönderildi|tarih|送信日時|发送时间|to|an|à|para|a|aan|till|til) ?[:：]",
    re.IGNORECASE,
)
_UNDERSCORES = re.compile(r"_{10,}")
_DATED = re.compile(r"@|\d{4}|\d{1,2}[:.h]\d{2}")
_SIGNATURE = re.compile(r"--[ \t]?")
_SENT_FROM = re.compile(
    r"(?:sent from|get outlook for|von meinem .+ gesendet|gesendet von|envoyé de|enviado desde|inviato da|verstuurd vanaf)\b.{0,80}",
    re.IGNORECASE,
)


def said_anew(text: str) -> str:
    """Empty when nothing was."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    below = _below(lines)
    kept: list[str] = []
    for number, line in enumerate(lines):
        bare = line.strip()
        if _ends_here(lines, number, bare, kept):
            break
        if bare.startswith(">"):
            continue
        kept.append(line.rstrip())
        if (begun := _attribution(kept)) is not None:
            follows = below[number]
            if follows.startswith(">") or not follows:
                del kept[begun:]
            elif _DATED.search(" ".join(kept[begun:])):
                del kept[begun:]
                break
    return _trimmed(kept)


def _below(lines: Sequence[str]) -> list[str]:
    """For every line the next one with something on it."""
    found, last = [""] * len(lines), ""
    for number in range(len(lines) - 1, -1, -1):
        found[number] = last
        last = lines[number].strip() or last
    return found


def _ends_here(lines: Sequence[str], number: int, bare: str, kept: Sequence[str]) -> bool:
    """What follows is history, or a signature."""
    if _SIGNATURE.fullmatch(lines[number]):
        return any(kept)
    if bare.startswith("-") and len(bare) < 100 and _RULE.fullmatch(bare):
        return True
    if _UNDERSCORES.fullmatch(bare):
        return _is_head(lines[number + 1 : number + 6])
    return _is_head(lines[number : number + 4])


def _is_head(lines: Sequence[str]) -> bool:
    """`From: …`, and right below it `Sent: …` or the like."""
    said = [line.strip() for line in lines if line.strip()]
    return bool(said) and bool(_FROM.match(said[0])) and any(_SENT.match(line) for line in said[1:3])


def _attribution(kept: Sequence[str]) -> int | None:
    """Where the line begins, perhaps broken into several, that says who wrote what follows. None: it is none."""
    if not kept[-1].endswith((":", "：")) or len(kept[-1]) > _LONGEST_ATTRIBUTION:
        return None
    wholes = list(_joined(kept))
    for patterns in (_ATTRIBUTIONS, _LOOSE):
        for back, whole in enumerate(wholes, 1):
            if any(pattern.fullmatch(whole) for pattern in patterns):
                return len(kept) - back
    return None


def _joined(kept: Sequence[str]) -> Iterator[str]:
    """The last line, the last two, the last three, while they belong together."""
    for back in range(1, min(_MOST_LINES, len(kept)) + 1):
        whole = " ".join(line.strip() for line in kept[-back:])
        if not kept[-back].strip() or len(whole) > _LONGEST_ATTRIBUTION:
            return
        yield whole


def _trimmed(lines: list[str]) -> str:
    said = "\n".join(lines).strip("\n").rstrip()
    head, _, last = said.rpartition("\n")
    return head.rstrip() if head.strip() and _SENT_FROM.fullmatch(last.strip()) else said
