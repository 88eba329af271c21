-- Roles of spaces: what was ordered, every single change of it, and what a room was given last. Contents are JSON in bytes:
-- jsonb does not take all that events may have.

CREATE TABLE role_applications (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id text COLLATE "C" NOT NULL UNIQUE,
    space_id text COLLATE "C" NOT NULL,
    ordered_by text COLLATE "C" NOT NULL,
    -- In whose name its events are.
    steward text COLLATE "C" NOT NULL,
    ordered_ms bigint NOT NULL,
    undoes text COLLATE "C"
);
CREATE INDEX role_applications_space ON role_applications (space_id, number);

CREATE TABLE role_changes (
    application_id text COLLATE "C" NOT NULL REFERENCES role_applications (application_id) ON DELETE CASCADE,
    seq integer NOT NULL,
    room_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    state_key text COLLATE "C" NOT NULL,
    before bytea NOT NULL,
    after bytea NOT NULL,
    -- Null: still to be done. Else 'done', or why not.
    outcome text,
    PRIMARY KEY (application_id, seq)
);

-- What roles have written last into a place of a room: if something else is there, somebody edits by hand.
CREATE TABLE role_applied (
    room_id text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    state_key text COLLATE "C" NOT NULL,
    space_id text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (room_id, type, state_key)
);
CREATE INDEX role_applied_space ON role_applied (space_id);
