-- Relations by room: events of other rooms may name an event as their parent, as many as somebody likes to send. They count for
-- nothing, and who reads does not go through them.
DROP INDEX relations_parent;
DROP INDEX relations_kind;
DROP INDEX relations_sender;
CREATE INDEX relations_parent ON relations (parent_id, room_nid, position);
CREATE INDEX relations_kind ON relations (parent_id, room_nid, rel_type, position);
CREATE INDEX relations_sender ON relations (parent_id, room_nid, sender, rel_type, position);
