"""How Python is to behave in a process that stays, and is asked much: its defaults are made for programs that end."""

import gc

_RUBBISH = 50_000  #: things made and not yet dropped, before anybody looks which of them are rubbish


def settle_in() -> None:
    """Once everything is in place: that stays, so nobody looks through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_RUBBISH, 20, 50)
