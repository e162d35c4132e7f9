"""How letters leave and arrive."""
