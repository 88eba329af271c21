"""Account data, global and by room, and how sync hears of it."""
