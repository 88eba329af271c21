"""POST /rooms/{roomId}/upgrade: the same room once more, in another room version."""
