-- Which fields of which profiles of this server changed last when, as positions in the stream of account data (MSC4262, MSC4429).
-- A field that was taken away is here as well: its profile says that it is gone.
CREATE TABLE profile_changes (
    user_id  text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    field    text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (user_id, field)
);
CREATE INDEX profile_changes_position ON profile_changes (position);
