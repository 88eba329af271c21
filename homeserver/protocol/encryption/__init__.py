"""The form of published keys and the signatures between them."""
