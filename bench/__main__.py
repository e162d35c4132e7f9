"""What Relent costs, against plain yardsticks in the same run: `python -m bench` runs all, or name one and its flags."""

import argparse
import signal
import sys
from pathlib import Path

from bench import figures, language, mailbox, memory, pages, pending, sending, webhook
from bench.databases import Servers
from relent.logs import set_up_logs

_BENCHES = {
    "webhook": webhook,
    "sending": sending,
    "pending": pending,
    "memory": memory,
    "language": language,
    "mailbox": mailbox,
    "pages": pages,
}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="keep the figures there, beside those of other runs"
    )
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="measure nothing: tell what is kept there, in Markdown"
    )
    named = parser.add_subparsers(dest="name", title="one of them, with its flags")
    for name, bench in _BENCHES.items():
        bench.add_flags(named.add_parser(name, help=bench.__doc__, description=bench.__doc__))
    set_up_logs(level="CRITICAL")
    chosen = parser.parse_args(words)
    if chosen.table:
        print(figures.table(chosen.table), end="")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    with Servers() as servers:
        for name in [chosen.name] if chosen.name else _BENCHES:
            print(f"--- {name} ---")
            flags = chosen if chosen.name else parser.parse_args([name])
            flags.servers = servers
            told = _BENCHES[name].run(flags)
            if chosen.save and told is not None:
                figures.keep(chosen.save, told.all, told.sizes)


if __name__ == "__main__":
    main(sys.argv[1:])
