"""What the world can tell us, after a mailbox has understood its own dialect."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something that was said about one of our conversations."""

    id: str  #: the provider's own name for this event: heard twice, it is one event
    inbox_id: str
    thread_id: str
    message_id: str | None = None
    at: datetime | None = None  #: when the world says that it happened, if it says so

    @property
    def speaks_of(self) -> list[str]:
        """The letters of ours that it is about, by their Message-IDs."""
        return [self.message_id] if self.message_id else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming(Heard):
    """A letter came in."""

    sender: str | None = None
    subject: str = ""
    text: str = ""
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    to: tuple[str, ...] = ()

    @property
    def speaks_of(self) -> list[str]:
        return [*self.references, *([self.in_reply_to] if self.in_reply_to else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Incoming):
    """Somebody wrote. Whatever is not provably a machine is somebody."""

    verified: bool = True  #: False: the provider does not vouch for the sender, or thinks it is spam


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoReply(Incoming):
    """A machine answered: nobody has read it yet. RFC 3834."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce(Heard):
    """A letter of ours did not arrive."""

    permanent: bool
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint(Heard):
    """Somebody pressed "this is spam"."""

    recipients: tuple[str, ...] = ()


Event = Reply | AutoReply | Bounce | Complaint
