-- Rooms, their events, their state, and who is a member of what.
-- One event is one row of `events`; state is one row per change (decision 3), never a copy of the whole state.

CREATE TABLE rooms (
    room_nid     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id      text COLLATE "C" NOT NULL UNIQUE,
    version      text NOT NULL,
    -- Where the next event is attached: ids of the forward extremities, and the highest depth among them.
    extremities  text[] NOT NULL DEFAULT '{}',
    depth        bigint NOT NULL DEFAULT 0,
    -- Counts every committed change of the tip: the statement that writes an event checks the number it was built on.
    tip_version  bigint NOT NULL DEFAULT 0,
    created_ms   bigint NOT NULL
);

CREATE TABLE events (
    -- The stream position at which the event was first stored: the one total order of decision 4.
    event_nid      bigint PRIMARY KEY,
    room_nid       integer NOT NULL,
    -- Place in the room's timeline: = event_nid for live events, negative for backfilled ones, NULL for events
    -- outside of the timeline (outliers, rejected).
    position       bigint,
    depth          bigint NOT NULL,
    origin_server_ts bigint NOT NULL,
    -- State before the event, where the graph forks; NULL on the linear stretch (then: state_changes before position).
    state_snapshot bigint,
    -- Bits: 1 notifies readers with the default push rules, 2 redacted, 4 soft-failed, 8 rejected, 16 with a highlight.
    flags          smallint NOT NULL DEFAULT 0,
    event_id       text COLLATE "C" NOT NULL,
    type           text COLLATE "C" NOT NULL,
    state_key      text COLLATE "C",
    sender         text COLLATE "C" NOT NULL,
    -- The event as clients get it (content, event_id, origin_server_ts, sender, state_key, type), spliced into responses as it is.
    body           bytea NOT NULL,
    -- What only servers see (auth_events, prev_events, depth, hashes, signatures): together with body the exact PDU.
    envelope       bytea NOT NULL,
    -- What `unsigned` holds for every reader (prev_content, replaces_state, redacted_because); NULL for most events.
    unsigned       bytea
);
CREATE UNIQUE INDEX events_event_id ON events (event_id);
CREATE INDEX events_timeline ON events (room_nid, position) WHERE position IS NOT NULL;

-- What each (type, state_key) was from which position on.
CREATE TABLE state_changes (
    room_nid   integer NOT NULL,
    type       text COLLATE "C" NOT NULL,
    state_key  text COLLATE "C" NOT NULL,
    position   bigint NOT NULL,
    event_nid  bigint NOT NULL,
    PRIMARY KEY (room_nid, type, state_key, position)
);
-- "Which state changed between two positions" for incremental syncs with gaps.
CREATE INDEX state_changes_position ON state_changes (room_nid, position);

CREATE TABLE current_state (
    room_nid   integer NOT NULL,
    type       text COLLATE "C" NOT NULL,
    state_key  text COLLATE "C" NOT NULL,
    event_nid  bigint NOT NULL,
    PRIMARY KEY (room_nid, type, state_key)
);

-- The current membership of each user in each room: a projection of m.room.member for look-ups by user.
CREATE TABLE memberships (
    user_id    text COLLATE "C" NOT NULL,
    room_nid   integer NOT NULL,
    membership text COLLATE "C" NOT NULL,
    event_nid  bigint NOT NULL,
    sender     text COLLATE "C" NOT NULL,
    forgotten  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, room_nid)
);
CREATE INDEX memberships_room ON memberships (room_nid, membership);

-- Invites and knocks to rooms this server is not in carry a stripped state of their own.
CREATE TABLE stripped_states (
    user_id    text COLLATE "C" NOT NULL,
    room_nid   integer NOT NULL,
    state      jsonb NOT NULL,
    PRIMARY KEY (user_id, room_nid)
);

CREATE TABLE relations (
    event_nid  bigint PRIMARY KEY,
    room_nid   integer NOT NULL,
    parent_id  text COLLATE "C" NOT NULL,
    rel_type   text COLLATE "C" NOT NULL,
    type       text COLLATE "C" NOT NULL,
    sender     text COLLATE "C" NOT NULL,
    -- The key of an annotation ("👍").
    aggregation_key text
);
CREATE INDEX relations_parent ON relations (parent_id, rel_type, event_nid);
CREATE INDEX relations_threads ON relations (room_nid, event_nid) WHERE rel_type = 'm.thread';

-- Idempotency of PUT .../{txnId}: the same device and transaction gives the same event. Kept for a day.
CREATE TABLE event_transactions (
    user_id    text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    txn_key    text COLLATE "C" NOT NULL,
    event_nid  bigint NOT NULL,
    event_id   text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (user_id, device_id, txn_key)
);
CREATE INDEX event_transactions_created ON event_transactions (created_ms);

-- Redactions that came before the event they redact (federation), and which redaction hit which event.
CREATE TABLE redactions (
    redacts      text COLLATE "C" NOT NULL,
    redaction_id text COLLATE "C" NOT NULL,
    room_nid     integer NOT NULL,
    applied      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (redacts, redaction_id)
);
