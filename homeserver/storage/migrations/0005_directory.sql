-- How rooms are found: their aliases on this server, and the public directory.

CREATE TABLE room_aliases (
    -- The whole alias, `#name:server`; always of this server.
    alias      text COLLATE "C" PRIMARY KEY,
    room_nid   integer NOT NULL,
    -- Who made it: may delete it, whatever his power in the room.
    creator    text COLLATE "C" NOT NULL,
    created_ms bigint NOT NULL
);
CREATE INDEX room_aliases_room ON room_aliases (room_nid);

-- Rooms that GET /publicRooms shows.
CREATE TABLE published_rooms (
    room_nid     integer PRIMARY KEY,
    published_ms bigint NOT NULL
);
