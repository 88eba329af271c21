-- Decision 0017: what is unusual on the line of a room has small indexes of its own.

-- Events that were outliers first have positions beyond their numbers: where the stream continues after a restart.
CREATE INDEX events_moved ON events (position) WHERE position <> event_nid;

-- Entries that came into force otherwise than by their own event, and keys that resolution took away.
CREATE INDEX state_changes_resolved ON state_changes (room_nid, position) WHERE event_nid IS DISTINCT FROM position;
CREATE INDEX state_changes_gone ON state_changes (room_nid, type, state_key) WHERE event_nid IS NULL;

-- A list of stripped events, JSON as it came: jsonb refuses what events may have (the character U+0000).
ALTER TABLE stripped_states ALTER COLUMN state TYPE bytea USING convert_to(state::text, 'UTF8');
