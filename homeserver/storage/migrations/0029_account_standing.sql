-- What administrators decided about accounts, how long accounts last, what people accepted, and what they reported.

ALTER TABLE users
    -- Locked: nothing but logging out. Suspended: read and leave only (client-server API, "Account moderation").
    ADD COLUMN locked_ms      bigint,
    ADD COLUMN suspended_ms   bigint,
    -- The account is good for nothing after this time, until somebody renews it; NULL: it does not end.
    ADD COLUMN valid_until_ms bigint;
CREATE INDEX users_restricted ON users (user_id) WHERE locked_ms IS NOT NULL OR suspended_ms IS NOT NULL;
CREATE INDEX users_validity ON users (valid_until_ms) WHERE valid_until_ms IS NOT NULL;

-- Links with which an account is renewed without signing in; each works once. Kept as SHA-256.
CREATE TABLE account_renewals (
    token_hash     bytea PRIMARY KEY,
    user_id        text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    -- The end of the account for which the link was made: with the next one it is worth nothing.
    valid_until_ms bigint NOT NULL,
    sent_ms        bigint NOT NULL
);
CREATE INDEX account_renewals_user ON account_renewals (user_id);

-- The newest version of each policy that a user has accepted (m.login.terms).
CREATE TABLE accepted_policies (
    user_id     text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    policy      text COLLATE "C" NOT NULL,
    version     text NOT NULL,
    accepted_ms bigint NOT NULL,
    PRIMARY KEY (user_id, policy)
);

-- What people told the administrators about events, rooms and users. No references: a report outlives what it is about.
CREATE TABLE reports (
    report_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('event', 'room', 'user')),
    reporter    text COLLATE "C" NOT NULL,
    -- Of events and rooms.
    room_id     text COLLATE "C",
    event_id    text COLLATE "C",
    -- Who sent the event, or who is reported.
    about_user  text COLLATE "C",
    reason      text,
    -- -100 (most offensive) to 0: from before v1.18 of the specification.
    score       integer,
    received_ms bigint NOT NULL
);
CREATE INDEX reports_kind ON reports (kind, report_id);
CREATE INDEX reports_reporter ON reports (reporter, kind, report_id);
CREATE INDEX reports_room ON reports (room_id, kind, report_id) WHERE room_id IS NOT NULL;
CREATE INDEX reports_about ON reports (about_user, kind, report_id) WHERE about_user IS NOT NULL;
