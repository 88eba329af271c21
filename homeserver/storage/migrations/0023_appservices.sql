-- What application services still have to be told, and the rooms that they list for their networks.

CREATE TABLE appservices (
    -- The `id` of the registration file.
    appservice_id  text COLLATE "C" PRIMARY KEY,
    -- Events up to here, and changes of device lists, are in transactions or concern it not.
    position       bigint NOT NULL,
    lists_position bigint NOT NULL
);

-- The one that is under way: as it was first sent, for it may have arrived. Deleted once it is acknowledged.
CREATE TABLE appservice_transactions (
    appservice_id text COLLATE "C" PRIMARY KEY,
    txn_id        text NOT NULL,
    body          bytea NOT NULL
);

CREATE TABLE network_rooms (
    appservice_id text COLLATE "C" NOT NULL,
    network_id    text COLLATE "C" NOT NULL,
    room_nid      integer NOT NULL,
    listed_ms     bigint NOT NULL,
    PRIMARY KEY (appservice_id, network_id, room_nid)
);
CREATE INDEX network_rooms_room ON network_rooms (room_nid);
