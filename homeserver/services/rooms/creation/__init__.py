"""POST /createRoom: from what a client wishes to the first events of a room."""
