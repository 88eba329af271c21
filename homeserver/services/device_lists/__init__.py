"""Device lists: whose devices or cross-signing keys changed, for those who share a room with them."""
