"""Every error of the house, drawn as a tree. An error's docstring is its message.

RelentError
├─ ConfigError             the configuration asks for the impossible
├─ SequenceError           a sequence or a list of people is not what it should be: file, line, what would be right
├─ Unavailable             what we need is not there: a database, a port, a folder
├─ NotFound                nobody of that name lives here
├─ Refused                 the rules say no
│  ├─ StillSending         stopped, but one letter is in the air and its fate is not known yet
│  ├─ Stale                it is not what was looked at any more
│  ├─ Busy                 somebody else is just doing it, or did something else under the same name
│  ├─ Invalid              what was asked for cannot be read, and where
│  ├─ Unprocessable        read, and there is no way to do it
│  ├─ Unauthorized         nobody knows who asks
│  ├─ Forbidden            known, and not allowed to
│  ├─ Rejected             the letter will not be carried
│  └─ TooMany              not so fast
├─ WebhookError
│  ├─ BadSignature         not believed
│  └─ UnreadableEvent      believed, but no event that we can read
└─ MailboxError            never leaves engine/carry.py
   ├─ TemporaryFailure     not now; put back, later
   ├─ PermanentFailure     never; give up, tell a human
   └─ NoAnswer             handed over, and silence: in doubt, ask the human
"""

from dataclasses import dataclass


class RelentError(Exception):
    """Something is not as it should be."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class ConfigError(RelentError):
    """The configuration asks for the impossible."""


class SequenceError(RelentError):
    """This sequence cannot be read."""

    def __init__(self, *complaints: str) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


class Unavailable(RelentError):
    """Something that we need is not there."""


class Overwhelmed(Unavailable):
    """More comes in than can be written down. Nothing of this was kept: send it again soon."""


class NotFound(RelentError):
    """Nobody of that name lives here."""


class Refused(RelentError):
    """The rules say no."""


class StillSending(Refused):
    """Stopped, but one letter was already leaving and its fate is not known yet. Ask again soon."""


class Busy(Refused):
    """Somebody else is just doing that. Ask again soon."""


class Stale(Refused):
    """It is not what you looked at any more."""

    def __init__(self, message: str | None = None, **changed: str | None) -> None:
        super().__init__(message)
        self.changed = {
            name: value for name, value in changed.items() if value is not None
        }  #: what is so now


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong, and where."""

    path: tuple[str | int, ...]
    message: str
    code: str = "invalid"

    @property
    def place(self) -> tuple[str, ...]:
        """In words; nothing, when it is about the whole."""
        return (".".join(map(str, self.path)),) if self.path else ()


class Invalid(Refused):
    """What was asked for cannot be read."""

    def __init__(self, *issues: Issue) -> None:
        super().__init__("; ".join(": ".join((*each.place, each.message)) for each in issues))
        self.issues = issues


class Unprocessable(Refused):
    """There is no way to do that."""


class Unauthorized(Refused):
    """Nobody knows who asks."""

    def __init__(self, message: str | None = None, code: str = "unauthorized") -> None:
        super().__init__(message)
        self.code = code


class Forbidden(Refused):
    """This key may not do that."""

    def __init__(self, message: str | None = None, code: str = "forbidden") -> None:
        super().__init__(message)
        self.code = code


class Rejected(Refused):
    """This letter will not be carried."""

    def __init__(self, message: str | None = None, code: str = "message_rejected") -> None:
        super().__init__(message)
        self.code = code


class TooMany(Refused):
    """Not so fast."""

    def __init__(self, after: int = 1) -> None:
        super().__init__(f"Too many requests with this key. Ask again in {after} s.")
        self.after = after


class WebhookError(RelentError):
    """This webhook cannot be taken."""


class BadSignature(WebhookError):
    """The signature does not match."""


class UnreadableEvent(WebhookError):
    """Signed, but no event that we can read."""


class MailboxError(RelentError):
    """The mailbox could not do it."""


class TemporaryFailure(MailboxError):
    """Not now; the same letter may go through later."""


class PermanentFailure(MailboxError):
    """Refused for good; the same letter will not go through."""


class NoAnswer(MailboxError):
    """The letter was handed over and nobody said whether it was taken."""
