"""Pushers: notifications on their way to push gateways and into mailboxes."""
