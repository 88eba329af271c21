"""What other servers ask."""
