"""Doors for strangers, believed only with a signature."""
