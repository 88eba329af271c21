-- Devices of users of other servers, as far as somebody here has asked for them and is told of their changes.

-- stream_id: of the newest change that is in; NULL where the server did not say it. A stale list is asked for again before it is used.
CREATE TABLE remote_device_lists (
    user_id    text COLLATE "C" PRIMARY KEY,
    stream_id  bigint,
    stale      boolean NOT NULL DEFAULT false,
    fetched_ms bigint NOT NULL
);

-- keys: canonical JSON without `unsigned`.
CREATE TABLE remote_devices (
    user_id      text COLLATE "C" NOT NULL REFERENCES remote_device_lists ON DELETE CASCADE,
    device_id    text COLLATE "C" NOT NULL,
    display_name text,
    keys         bytea NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
