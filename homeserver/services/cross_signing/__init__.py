"""Users' cross-signing keys, and what is signed with them."""
