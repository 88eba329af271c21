"""Events that relate to each other, read: children of an event, threads of a room, what is told beside events."""
