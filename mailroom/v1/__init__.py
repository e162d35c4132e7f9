"""The engine's own API: `/v1/…`. What waits for a yes, who is written to, and the brake; docs/api-v1.md shows all of it.

Built like its neighbour `mailroom/api`, whose door, keys and errors it shares: `forms.py` has what may be asked, `wire.py`
what is answered, a module each family of endpoints, `table.py` all of them. It decides nothing: every endpoint tells a story
of the engine, the same that the dashboard and the command line tell.
"""
