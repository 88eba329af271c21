"""Who is in which voice channel, and what the server does about it."""
