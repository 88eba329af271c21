"""Who is in a room: one verb a module. All go through services.rooms.appender."""
