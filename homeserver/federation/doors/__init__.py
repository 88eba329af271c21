"""How users of other servers come into our rooms and leave them, and how ours are invited into theirs."""
