"""Push rules of users: their customisations, compiled and in memory."""
