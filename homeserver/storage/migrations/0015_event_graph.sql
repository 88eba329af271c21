-- What federation adds to rooms: forks, holes in the timeline, events outside of it (decision 0017).

-- State events only: the numbers of their auth events, for walking auth chains. Flags of events have new bits: 64 outlier.
ALTER TABLE events ADD COLUMN auth_nids bigint[];
ALTER TABLE events DROP COLUMN state_snapshot;

UPDATE events e SET auth_nids = a.nids
FROM (
    SELECT s.event_nid, array_agg(cited.event_nid) AS nids
    FROM (SELECT event_nid, convert_from(envelope, 'UTF8')::json -> 'auth_events' AS cited FROM events WHERE state_key IS NOT NULL) s
    CROSS JOIN LATERAL json_array_elements(s.cited) AS reference
    JOIN events cited ON cited.event_id = CASE json_typeof(reference) WHEN 'array' THEN reference ->> 0 ELSE reference #>> '{}' END
    GROUP BY s.event_nid
) a
WHERE e.event_nid = a.event_nid;

-- An entry without an event: resolution took the key away.
ALTER TABLE state_changes ALTER COLUMN event_nid DROP NOT NULL;

-- Since which position the entry has been in force; differs from its event's where resolution brought an old one back, and for outliers.
ALTER TABLE current_state ADD COLUMN position bigint;
UPDATE current_state SET position = event_nid;
ALTER TABLE current_state ALTER COLUMN position SET NOT NULL;
ALTER TABLE memberships ADD COLUMN position bigint;
UPDATE memberships SET position = event_nid;
ALTER TABLE memberships ALTER COLUMN position SET NOT NULL;

-- State before an event whose past differs from the line: that at `base_position`, with these state events instead of (or beside) those
-- there, and without those. No row: the state at the position before the event (of events without position: before their number).
CREATE TABLE forked_states (
    event_nid     bigint PRIMARY KEY,
    base_position bigint NOT NULL,
    instead       bigint[] NOT NULL,
    without       bigint[] NOT NULL
);

-- Holes of timelines: positions low < p < high are free for the past of the event at `high`, of whose prev_events `missing` are not here.
CREATE TABLE timeline_gaps (
    room_nid integer NOT NULL,
    low      bigint NOT NULL,
    high     bigint NOT NULL,
    missing  text[] NOT NULL,
    PRIMARY KEY (room_nid, high)
);

-- Rejected and soft-failed events are on no timeline, yet servers ask for what was before them.
CREATE INDEX events_aside ON events (room_nid, event_nid) WHERE position IS NULL;
