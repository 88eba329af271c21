-- What belongs to readers: receipts, how far each has read, account data, push rules, and what is unread.

-- The receipts people see. thread_id: '' for an unthreaded receipt, 'main', or the thread's root.
CREATE TABLE receipts (
    room_nid       integer NOT NULL,
    user_id        text COLLATE "C" NOT NULL,
    receipt_type   text COLLATE "C" NOT NULL,
    thread_id      text COLLATE "C" NOT NULL,
    event_id       text COLLATE "C" NOT NULL,
    event_position bigint NOT NULL,
    ts             bigint NOT NULL,
    -- Position in the stream of receipts.
    position       bigint NOT NULL,
    PRIMARY KEY (room_nid, user_id, receipt_type, thread_id)
);
CREATE INDEX receipts_position ON receipts (position);
CREATE INDEX receipts_of_room ON receipts (room_nid, position);

-- Up to which event a user has read: the furthest of his receipts of either type and of what he sent himself.
CREATE TABLE read_positions (
    user_id   text COLLATE "C" NOT NULL,
    room_nid  integer NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (user_id, room_nid, thread_id)
);

-- Events that notify a user otherwise than the event's own flags say (mentions, customised rules). Rows go when read.
CREATE TABLE push_actions (
    user_id   text COLLATE "C" NOT NULL,
    room_nid  integer NOT NULL,
    position  bigint NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    notify    boolean NOT NULL,
    highlight boolean NOT NULL,
    PRIMARY KEY (user_id, room_nid, position)
);

-- Global (room_id '') and room account data. content is JSON as it goes out. What was deleted stays as a row, so that
-- syncs hear of it and positions are not used twice.
CREATE TABLE account_data (
    user_id  text COLLATE "C" NOT NULL,
    room_id  text COLLATE "C" NOT NULL,
    type     text COLLATE "C" NOT NULL,
    content  bytea NOT NULL,
    -- Position in the stream of account data, which push rules share.
    position bigint NOT NULL,
    deleted  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, room_id, type)
);
CREATE INDEX account_data_position ON account_data (position);
CREATE INDEX account_data_changes ON account_data (user_id, position);

-- What users changed about the server-default push rules; who changed nothing has no row, or an empty customisation.
CREATE TABLE push_rules (
    user_id       text COLLATE "C" PRIMARY KEY,
    customisation jsonb NOT NULL,
    customised    boolean NOT NULL,
    position      bigint NOT NULL
);
CREATE INDEX push_rules_position ON push_rules (position);

-- Presence lives in memory; only what people wrote about themselves survives a restart.
CREATE TABLE status_messages (
    user_id    text COLLATE "C" PRIMARY KEY,
    status_msg text NOT NULL
);

-- The thread an event belongs to: its root, or 'main'. "A maximum of 3 hops is recommended" (Threaded read receipts).
CREATE FUNCTION thread_of(nid bigint) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE chain AS (
        SELECT room_nid, parent_id, rel_type, 1 AS hops FROM relations WHERE event_nid = nid
        UNION ALL
        SELECT r.room_nid, r.parent_id, r.rel_type, c.hops + 1
        FROM chain c
        JOIN events e ON e.event_id = c.parent_id AND e.room_nid = c.room_nid
        JOIN relations r ON r.event_nid = e.event_nid
        WHERE c.rel_type <> 'm.thread' AND c.hops < 3
    )
    SELECT coalesce((SELECT parent_id FROM chain WHERE rel_type = 'm.thread'), 'main')
$$;
