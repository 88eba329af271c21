"""What this server tells others: events in order, and what is ephemeral beside them."""
