-- OAuth 2.0 (client-server API, "OAuth 2.0 API"): clients, what they were granted, and how they got there. Tokens are those of 0001.

-- By dynamic registration (RFC 7591). Clients with the same metadata are one: the id follows from it.
CREATE TABLE oauth_clients (
    client_id    text COLLATE "C" PRIMARY KEY,
    metadata     jsonb NOT NULL,
    last_used_ms bigint NOT NULL
);
CREATE INDEX oauth_clients_used ON oauth_clients (last_used_ms);

-- Which client a device is signed in with. Devices that signed in in another way have none.
CREATE TABLE oauth_grants (
    device_nid integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    client_id  text COLLATE "C" NOT NULL REFERENCES oauth_clients,
    scope      text NOT NULL,
    granted_ms bigint NOT NULL
);
CREATE INDEX oauth_grants_client ON oauth_grants (client_id);

-- Refresh tokens of such devices whose time is over: who comes with one has stolen it, or was stolen from.
CREATE TABLE retired_refresh_tokens (
    token_hash bytea PRIMARY KEY,
    device_nid integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    expires_ms bigint NOT NULL
);
CREATE INDEX retired_refresh_tokens_device ON retired_refresh_tokens (device_nid);
CREATE INDEX retired_refresh_tokens_expiry ON retired_refresh_tokens (expires_ms);

CREATE TABLE oauth_codes (
    code_hash      bytea PRIMARY KEY,
    client_id      text COLLATE "C" NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    user_id        text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    device_id      text COLLATE "C" NOT NULL,
    redirect_uri   text NOT NULL,
    code_challenge text NOT NULL,
    scope          text NOT NULL,
    -- Used codes are kept for a while: whoever uses one again ends what came of it (RFC 6749, 4.1.2).
    used           boolean NOT NULL DEFAULT false,
    expires_ms     bigint NOT NULL
);
CREATE INDEX oauth_codes_client ON oauth_codes (client_id);
CREATE INDEX oauth_codes_user ON oauth_codes (user_id);
CREATE INDEX oauth_codes_expiry ON oauth_codes (expires_ms);

-- Device authorization grant (RFC 8628).
CREATE TABLE oauth_device_codes (
    device_code_hash bytea PRIMARY KEY,
    -- What people type, without its hyphen.
    user_code        text COLLATE "C" NOT NULL UNIQUE,
    client_id        text COLLATE "C" NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    device_id        text COLLATE "C" NOT NULL,
    scope            text NOT NULL,
    -- NULL: nobody has decided; false: somebody said no.
    granted          boolean,
    user_id          text COLLATE "C" REFERENCES users ON DELETE CASCADE,
    polled_ms        bigint NOT NULL DEFAULT 0,
    interval_ms      bigint NOT NULL,
    expires_ms       bigint NOT NULL
);
CREATE INDEX oauth_device_codes_client ON oauth_device_codes (client_id);
CREATE INDEX oauth_device_codes_user ON oauth_device_codes (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX oauth_device_codes_expiry ON oauth_device_codes (expires_ms);

-- Who has agreed in a browser that new cross-signing keys may take the place of his old ones (MSC4312). Good for one upload.
CREATE TABLE cross_signing_resets (
    user_id  text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    until_ms bigint NOT NULL
);
