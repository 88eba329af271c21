-- Which spaces a room is in: spaces say it of rooms (m.space.child, by the room's id), and voice channels ask for it.
CREATE INDEX current_state_spaces_of_room ON current_state (state_key) WHERE type = 'm.space.child';
