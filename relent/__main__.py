"""`python -m relent` is `relent`."""

from relent.cli import main

main()
