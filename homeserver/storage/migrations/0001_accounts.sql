-- Accounts, their sessions and what belongs to them. Secrets are never stored: tokens are here as SHA-256, passwords as Argon2id.

CREATE TABLE users (
    user_id        text COLLATE "C" PRIMARY KEY,
    -- PHC string of Argon2id; NULL for guests, deactivated accounts and accounts that only sign in elsewhere.
    password_hash  text,
    is_guest       boolean NOT NULL DEFAULT false,
    is_admin       boolean NOT NULL DEFAULT false,
    -- What an administrator called the kind of account ("bot", "support"); NULL for everybody else.
    user_type      text,
    -- The application service that made the account.
    appservice_id  text,
    created_ms     bigint NOT NULL,
    deactivated_ms bigint,
    -- Deactivated with `erase`: readers who join later get this user's events redacted.
    erased         boolean NOT NULL DEFAULT false,
    -- Deactivated, but not everything that follows from it (leaving rooms) is done yet.
    leaving        boolean NOT NULL DEFAULT false
);
CREATE INDEX users_leaving ON users (user_id) WHERE leaving;
CREATE INDEX users_erased ON users (user_id) WHERE erased;
CREATE INDEX users_admin ON users (user_id) WHERE is_admin;

-- Display name and avatar have columns because every member event needs them; all other fields are one canonical JSON object.
CREATE TABLE profiles (
    user_id     text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    displayname text,
    avatar_url  text,
    fields      bytea NOT NULL DEFAULT '{}'
);

CREATE TABLE user_threepids (
    medium       text NOT NULL,
    address      text NOT NULL,
    user_id      text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    validated_ms bigint NOT NULL,
    added_ms     bigint NOT NULL,
    PRIMARY KEY (medium, address)
);
CREATE INDEX user_threepids_user ON user_threepids (user_id);

CREATE TABLE devices (
    device_nid           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id              text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    device_id            text COLLATE "C" NOT NULL,
    display_name         text,
    created_ms           bigint NOT NULL,
    -- Written lazily and in batches (services/sessions/last_seen.py).
    last_seen_ms         bigint,
    last_seen_ip         text,
    last_seen_user_agent text,
    UNIQUE (user_id, device_id)
);

-- A refresh token and the access token that was issued with it are one generation. The generation before stays valid
-- until the new one is first used, then it is deleted (client-server API, "Refreshing access tokens").
CREATE TABLE refresh_tokens (
    token_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash     bytea NOT NULL UNIQUE,
    device_nid     integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    predecessor_id bigint,
    expires_ms     bigint NOT NULL
);
CREATE INDEX refresh_tokens_device ON refresh_tokens (device_nid);
CREATE INDEX refresh_tokens_predecessor ON refresh_tokens (predecessor_id) WHERE predecessor_id IS NOT NULL;
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_ms);

CREATE TABLE access_tokens (
    token_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_hash       bytea NOT NULL UNIQUE,
    device_nid       integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    -- NULL for the long-lived token of a client that cannot refresh; such a token has no expiry either.
    refresh_token_id bigint REFERENCES refresh_tokens ON DELETE CASCADE,
    expires_ms       bigint
);
CREATE INDEX access_tokens_device ON access_tokens (device_nid);
CREATE INDEX access_tokens_refresh ON access_tokens (refresh_token_id) WHERE refresh_token_id IS NOT NULL;

-- Lets somebody sign in once, in the name of the device that asked for it; it ends with that device.
CREATE TABLE login_tokens (
    token_hash bytea PRIMARY KEY,
    device_nid integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    expires_ms bigint NOT NULL
);
CREATE INDEX login_tokens_device ON login_tokens (device_nid);
CREATE INDEX login_tokens_expiry ON login_tokens (expires_ms);

CREATE TABLE registration_tokens (
    token        text COLLATE "C" PRIMARY KEY,
    -- NULL: any number of accounts.
    uses_allowed integer,
    completed    integer NOT NULL DEFAULT 0,
    expires_ms   bigint,
    created_ms   bigint NOT NULL
);

-- The one-time link that makes the first administrator. At most one row.
CREATE TABLE setup_links (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    token_hash bytea NOT NULL,
    expires_ms bigint NOT NULL
);

CREATE TABLE ui_auth_sessions (
    session_id text PRIMARY KEY,
    -- What the session is for: method, path and requester. It is good for nothing else.
    operation  text NOT NULL,
    -- Finished stages and what they proved, {"m.login.password": "@alice:hs1"}.
    completed  jsonb NOT NULL DEFAULT '{}',
    -- What the server has to remember between the requests of one session (registration: the first request's parameters).
    memory     bytea NOT NULL DEFAULT '{}',
    expires_ms bigint NOT NULL
);
CREATE INDEX ui_auth_sessions_expiry ON ui_auth_sessions (expires_ms);

-- Each distinct filter of a user is stored once, as canonical JSON.
CREATE TABLE filters (
    user_id    text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    filter_id  bigint GENERATED ALWAYS AS IDENTITY,
    digest     bytea NOT NULL,
    definition bytea NOT NULL,
    PRIMARY KEY (user_id, filter_id),
    UNIQUE (user_id, digest)
);
