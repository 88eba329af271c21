"""Our own selective forwarding unit, speaking LiveKit's client protocol."""
