-- Sticky events (MSC4354) until they no longer stick: everybody who is in the room gets them, whatever else he has missed.
CREATE TABLE sticky_events (
    room_nid   integer NOT NULL,
    event_nid  bigint NOT NULL,
    expires_ms bigint NOT NULL,
    PRIMARY KEY (room_nid, event_nid)
);
CREATE INDEX sticky_events_expiry ON sticky_events (expires_ms);
