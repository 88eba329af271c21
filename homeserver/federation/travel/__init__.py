"""Our users in rooms of other servers: join, leave, knock, invite. The asking side of the handshakes."""
