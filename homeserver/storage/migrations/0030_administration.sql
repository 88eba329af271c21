-- What administrators do, and what only they can set.

-- Who did what to whom, from where. Nothing here refers to other tables: what is gone was here nevertheless.
CREATE TABLE audit_log (
    entry_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms         bigint NOT NULL,
    -- A user id, or a word for what has none: "cli", "shared_secret", "setup_link".
    who           text COLLATE "C" NOT NULL,
    -- The application service that spoke for that user.
    appservice_id text COLLATE "C",
    -- Of the request; empty where there was none.
    address       text NOT NULL,
    -- Nouns and a verb, "user.deactivate".
    action        text COLLATE "C" NOT NULL,
    -- To whom or what: a user id, a room id, a server.
    target        text COLLATE "C" NOT NULL,
    -- A JSON object of limited size, without secrets.
    details       text NOT NULL
);
CREATE INDEX audit_log_time ON audit_log (at_ms);
CREATE INDEX audit_log_who ON audit_log (who, entry_id);
CREATE INDEX audit_log_action ON audit_log (action, entry_id);
CREATE INDEX audit_log_target ON audit_log (target, entry_id);

-- With these an administrator acts as somebody else, without a device. They end with either account, and with the role.
CREATE TABLE borrowed_tokens (
    token_hash bytea PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    admin_id   text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    -- NULL: until somebody ends it.
    expires_ms bigint
);
CREATE INDEX borrowed_tokens_user ON borrowed_tokens (user_id);
CREATE INDEX borrowed_tokens_admin ON borrowed_tokens (admin_id);
CREATE INDEX borrowed_tokens_expiry ON borrowed_tokens (expires_ms) WHERE expires_ms IS NOT NULL;

-- Whom somebody has invited, kicked or banned: few of all events, and none that is sent often.
CREATE INDEX events_about_others ON events (sender, origin_server_ts)
    WHERE type = 'm.room.member' AND state_key <> sender;
