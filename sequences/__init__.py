"""What we say: sequences as files, and the people to say it to."""
