"""What this server asks of its own users' events beyond the auth rules, one event type a module."""
