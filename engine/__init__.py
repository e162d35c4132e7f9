"""What is due, what is held, what an answer stops. Knows no HTTP, SMTP, YAML or Redis; imports nobody."""
