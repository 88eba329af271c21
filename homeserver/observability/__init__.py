"""What the server tells about itself: log lines, metrics, a memory report."""
