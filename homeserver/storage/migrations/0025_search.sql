-- How people find what was said (decision 0018), and each other. All of it is made from other tables, lazily and in batches.

-- The words of one event: those of its text with their places, as services/search/words.py cuts them, and marks that no word
-- can be: `!n` of room n, `@h` of a sender (hashed), `#b`, `#n`, `#t` for body, name, topic, `#u` where the content has a url.
CREATE TABLE search_entries (
    position bigint NOT NULL,
    room_nid integer NOT NULL,
    words    tsvector NOT NULL,
    PRIMARY KEY (position, room_nid)
);
-- Some thousand new entries wait in a list, which halves the cost of writing them; a longer one would make searches pay.
CREATE INDEX search_entries_words ON search_entries USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 256);

-- Events of the stream up to this position have their entries; what is in `search_past` does not.
CREATE TABLE search_progress (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position  bigint NOT NULL,
    -- The same for users and rooms of the user directory.
    directory bigint NOT NULL
);
INSERT INTO search_progress (position, directory) VALUES (0, 0);

-- History that came later into holes of timelines, and has no entries yet.
CREATE TABLE search_past (
    room_nid integer NOT NULL,
    low      bigint NOT NULL,
    high     bigint NOT NULL,
    PRIMARY KEY (room_nid, low, high)
);

-- Users of whom the directory may tell, if he who asks may see them: ours, and those of other servers who are in a room.
CREATE TABLE directory_users (
    user_id     text COLLATE "C" PRIMARY KEY,
    displayname text,
    avatar_url  text,
    -- What is looked into, folded: the localpart, and behind a line break the display name.
    names       text COLLATE "C" NOT NULL,
    -- Every three characters of it that follow each other; `^a`, `^ab`: what words begin with; `=abc`: whole words.
    grams       text[] COLLATE "C" NOT NULL
);
CREATE INDEX directory_users_grams ON directory_users USING gin (grams);

-- Rooms that anybody could join or read, and that somebody of ours is in.
CREATE TABLE directory_rooms (
    room_nid integer PRIMARY KEY
);
