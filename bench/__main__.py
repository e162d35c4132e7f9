"""What Relent costs, against plain yardsticks in the same run: `python -m bench` runs all, or name one and its flags."""

import argparse
import sys

from bench import language, mailbox, sending, webhook
from relent.logs import set_up_logs

_BENCHES = {"webhook": webhook, "language": language, "mailbox": mailbox, "sending": sending}


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    named = parser.add_subparsers(dest="name", title="one of them, with its flags")
    for name, bench in _BENCHES.items():
        bench.add_flags(named.add_parser(name, help=bench.__doc__, description=bench.__doc__))
    set_up_logs(level=50)
    chosen = parser.parse_args(words)
    for name in [chosen.name] if chosen.name else _BENCHES:
        print(f"--- {name} ---")
        _BENCHES[name].run(chosen if chosen.name else parser.parse_args([name]))


if __name__ == "__main__":
    main(sys.argv[1:])
