"""What several processes of one server share in Redis, and may lose."""
