"""What other servers send: transactions, and events by any other way."""
