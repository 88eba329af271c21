-- What other servers still have to be told: two positions a server, however much that is.

CREATE TABLE destinations (
    destination   text COLLATE "C" PRIMARY KEY,
    -- Events up to here were delivered; those of ours up to wanted_position concern this server.
    sent_position   bigint NOT NULL,
    wanted_position bigint NOT NULL,
    -- The same for changes of our users' devices (device_changes.stream_id).
    sent_devices    bigint NOT NULL DEFAULT 0,
    wanted_devices  bigint NOT NULL DEFAULT 0
);
CREATE INDEX destinations_behind ON destinations (destination)
    WHERE wanted_position > sent_position OR wanted_devices > sent_devices;

-- Up to where what concerns each destination is written down: events, device_changes.stream_id, and the stream of device
-- lists. Who has no row in `destinations`, or one that says so, has everything up to here. One row.
CREATE TABLE outbound_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL,
    devices  bigint NOT NULL,
    lists_position bigint NOT NULL
);

-- The newest change of each device of our users, as other servers are told: keys of devices that are gone stay as a row.
-- device_id '' stands for the user's cross-signing keys.
CREATE TABLE device_changes (
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    stream_id bigint NOT NULL,
    -- The user's change before this one; NULL for the first.
    prev_id   bigint,
    digest    bytea NOT NULL,
    deleted   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, device_id)
);
CREATE INDEX device_changes_stream ON device_changes (stream_id);
CREATE SEQUENCE device_change_ids AS bigint;

-- Which rooms a server is, or was, in.
CREATE INDEX memberships_server ON memberships ((substring(user_id FROM position(':' IN user_id) + 1)), room_nid);
