-- Relations as readers ask for them: in the order of the timeline, by kind, by sender; threads; thread subscriptions;
-- what redacted events said.

-- The place of the child in its room's timeline, as events.position: pages and what a reader may see go by it.
ALTER TABLE relations ADD COLUMN position bigint;
UPDATE relations r SET position = e.position FROM events e WHERE e.event_nid = r.event_nid;
-- Only events of the timeline relate to anything.
DELETE FROM relations WHERE position IS NULL;
ALTER TABLE relations ALTER COLUMN position SET NOT NULL;

DROP INDEX relations_parent;
DROP INDEX relations_threads;
CREATE INDEX relations_parent ON relations (parent_id, position);
CREATE INDEX relations_kind ON relations (parent_id, rel_type, position);
CREATE INDEX relations_sender ON relations (parent_id, sender, rel_type, position);

-- events.flags, bit 512: an event of the same room relates to it in a way that is aggregated. Whoever shows events asks
-- for aggregations only where he meets the bit. It stays when the last such relation is redacted.
UPDATE events e SET flags = e.flags | 512
FROM (SELECT DISTINCT room_nid, parent_id FROM relations WHERE rel_type IN ('m.thread', 'm.replace', 'm.reference')) r
WHERE e.event_id = r.parent_id AND e.room_nid = r.room_nid;

-- The threads of each room. A thread without replies has no row; one whose root is not here has.
CREATE TABLE threads (
    room_nid        integer NOT NULL,
    root_id         text COLLATE "C" NOT NULL,
    -- Of the newest reply.
    latest_position bigint NOT NULL,
    replies         integer NOT NULL,
    PRIMARY KEY (room_nid, root_id)
);
CREATE INDEX threads_latest ON threads (room_nid, latest_position);
INSERT INTO threads (room_nid, root_id, latest_position, replies)
SELECT room_nid, parent_id, max(position), count(*) FROM relations WHERE rel_type = 'm.thread' GROUP BY room_nid, parent_id;

-- Bit and threads follow the relations by triggers: whoever writes or deletes them (a send, a redaction, older history, a
-- purge) has nothing to remember, and within one statement no row is changed twice. Reactions pay for none of this.
CREATE FUNCTION relation_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE events SET flags = flags | 512
    WHERE event_id = NEW.parent_id AND room_nid = NEW.room_nid AND flags & 512 = 0;
    IF NEW.rel_type = 'm.thread' THEN
        INSERT INTO threads AS t (room_nid, root_id, latest_position, replies)
        VALUES (NEW.room_nid, NEW.parent_id, NEW.position, 1)
        ON CONFLICT (room_nid, root_id) DO UPDATE
        SET latest_position = greatest(t.latest_position, excluded.latest_position), replies = t.replies + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER relation_added AFTER INSERT ON relations
FOR EACH ROW WHEN (NEW.rel_type IN ('m.thread', 'm.replace', 'm.reference')) EXECUTE FUNCTION relation_added();

CREATE FUNCTION reply_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE threads t SET replies = t.replies - 1, latest_position = coalesce((
        SELECT max(r.position) FROM relations r
        WHERE r.parent_id = OLD.parent_id AND r.rel_type = 'm.thread' AND r.room_nid = OLD.room_nid
    ), t.latest_position)
    WHERE t.room_nid = OLD.room_nid AND t.root_id = OLD.parent_id;
    DELETE FROM threads WHERE room_nid = OLD.room_nid AND root_id = OLD.parent_id AND replies <= 0;
    RETURN NULL;
END $$;
CREATE TRIGGER reply_removed AFTER DELETE ON relations
FOR EACH ROW WHEN (OLD.rel_type = 'm.thread') EXECUTE FUNCTION reply_removed();

-- What a user said about a thread (MSC4306). A row stays when he unsubscribes: syncs hear of it, and older mentions do
-- not subscribe him again.
CREATE TABLE thread_subscriptions (
    user_id         text COLLATE "C" NOT NULL,
    room_nid        integer NOT NULL,
    root_id         text COLLATE "C" NOT NULL,
    subscribed      boolean NOT NULL,
    automatic       boolean NOT NULL,
    -- The newest event when he unsubscribed; what came up to there subscribes him no more by itself.
    unsubscribed_at bigint,
    -- Position in the stream of account data.
    position        bigint NOT NULL,
    PRIMARY KEY (user_id, room_nid, root_id)
);
CREATE INDEX thread_subscriptions_changes ON thread_subscriptions (user_id, position);
CREATE INDEX thread_subscriptions_position ON thread_subscriptions (position);
CREATE INDEX thread_subscriptions_thread ON thread_subscriptions (room_nid, root_id);

-- What redacted events said, for a while, for moderators (MSC2815).
CREATE TABLE redacted_bodies (
    event_nid   bigint PRIMARY KEY,
    room_nid    integer NOT NULL,
    body        bytea NOT NULL,
    redacted_ms bigint NOT NULL
);
CREATE INDEX redacted_bodies_age ON redacted_bodies (redacted_ms);
CREATE INDEX redacted_bodies_room ON redacted_bodies (room_nid);
