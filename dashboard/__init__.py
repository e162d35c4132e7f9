"""A human's yes: the room where people look through what waits for them. Nobody lives here yet."""
