-- Where users want to be notified besides their syncs. Client-server API, "Push Notifications".

CREATE TABLE pushers (
    pusher_nid          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id             text COLLATE "C" NOT NULL,
    app_id              text COLLATE "C" NOT NULL,
    pushkey             text COLLATE "C" NOT NULL,
    -- "http" or "email".
    kind                text NOT NULL,
    -- The device that set it, and with which it goes; of e-mail it is the account's.
    device_id           text COLLATE "C",
    app_display_name    text NOT NULL,
    device_display_name text NOT NULL,
    profile_tag         text,
    lang                text NOT NULL,
    -- The client's object, in JSON.
    data                bytea NOT NULL,
    enabled             boolean NOT NULL,
    set_ms              bigint NOT NULL,
    -- Events up to here have been pushed, or need not be; NULL where that is what `push_progress` says.
    behind              bigint,
    UNIQUE (user_id, app_id, pushkey)
);
CREATE INDEX pushers_of_key ON pushers (app_id, pushkey);

-- One row: events up to here have been handed to all pushers.
CREATE TABLE push_progress (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    position bigint NOT NULL
);

-- Where the stream of events stood on each day (days since 1970): what is older than some days is found without looking.
CREATE TABLE push_days (
    day      integer PRIMARY KEY,
    position bigint NOT NULL
);

-- They stay for some weeks after they were read, for the list of notifications.
CREATE INDEX push_actions_position ON push_actions (position);

-- What e-mail pushers have told of a room, and how long they are silent about it then.
CREATE TABLE mailed_rooms (
    pusher_nid bigint NOT NULL REFERENCES pushers ON DELETE CASCADE,
    room_nid   integer NOT NULL,
    -- Up to here.
    position   bigint NOT NULL,
    mailed_ms  bigint NOT NULL,
    pause_ms   bigint NOT NULL,
    PRIMARY KEY (pusher_nid, room_nid)
);
