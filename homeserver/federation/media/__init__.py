"""Files of other servers."""
