-- Users to whom an administrator gave a rate of their own for sending; without a rate: who is not limited at all.
CREATE TABLE rate_overrides (
    user_id     text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    burst       integer,
    interval_ms double precision,
    CHECK ((burst IS NULL) = (interval_ms IS NULL))
);
