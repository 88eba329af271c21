-- What other servers have not got yet (homeserver/federation/sending). Who has everything has no row.

-- Up to here everything was handed to everybody: all servers have it, but for those with a row in `destinations`.
CREATE TABLE outbound_progress (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sent_position  bigint NOT NULL,
    lists_position bigint NOT NULL
);

-- A server that is behind: what it lacks is what came after these positions. NULL: it lacks nothing of that kind.
CREATE TABLE destinations (
    destination       text COLLATE "C" PRIMARY KEY,
    -- In the stream of events.
    sent_position     bigint,
    -- In the stream of device lists.
    lists_position    bigint,
    -- In the stream of receipts.
    receipts_position bigint,
    since_ms          bigint NOT NULL
);

-- Which rooms a server is in. Equal entries are stored once, so our own users cost little here.
CREATE INDEX memberships_server ON memberships (substr(user_id, strpos(user_id, ':') + 1), room_nid);

-- Flags of events have one more bit: 128, an event of another server that this server passes on to the rest of the room.
