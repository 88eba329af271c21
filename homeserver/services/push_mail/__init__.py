"""Mail about what somebody has not read."""
