-- The name of the server that this database belongs to: one row. A server with another name refuses to start on it,
-- because the name is part of every user id, room alias and event in it.

CREATE TABLE server_identity (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    server_name text NOT NULL
);
