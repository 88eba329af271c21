-- People who sign in with a provider (OpenID Connect, CAS): which account is whose.
CREATE TABLE external_ids (
    provider    text COLLATE "C" NOT NULL,
    -- What the provider calls him, for ever: `sub`, or the name of CAS.
    external_id text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    -- How it came to be: "provisioned", "linked", "adopted", "admin".
    made_by     text NOT NULL,
    created_ms  bigint NOT NULL,
    last_ms     bigint NOT NULL,
    -- What the provider said last; NULL where it says nothing about groups.
    groups      jsonb,
    PRIMARY KEY (provider, external_id)
);
CREATE INDEX external_ids_user ON external_ids (user_id);

-- Browsers that are at a provider just now. Each is answered once. Nonce and PKCE are not here: they are made of the cookie.
CREATE TABLE provider_visits (
    state_hash bytea PRIMARY KEY,
    provider   text COLLATE "C" NOT NULL,
    pending_id text COLLATE "C" NOT NULL REFERENCES browser_pendings ON DELETE CASCADE,
    browser_id bigint NOT NULL REFERENCES browsers ON DELETE CASCADE,
    expires_ms bigint NOT NULL
);
CREATE INDEX provider_visits_pending ON provider_visits (pending_id);
CREATE INDEX provider_visits_browser ON provider_visits (browser_id);
CREATE INDEX provider_visits_expiry ON provider_visits (expires_ms);

-- Who came back from a provider and has no account yet, for his name is taken: he chooses, or proves that it is his.
CREATE TABLE provider_arrivals (
    pending_id text COLLATE "C" PRIMARY KEY REFERENCES browser_pendings ON DELETE CASCADE,
    provider   text COLLATE "C" NOT NULL,
    person     jsonb NOT NULL,
    sid        text,
    expires_ms bigint NOT NULL
);
CREATE INDEX provider_arrivals_expiry ON provider_arrivals (expires_ms);

-- With which session of a provider somebody signed in: in a browser, and from there on a device. It ends with them, and
-- they end when the provider says that it is over (back-channel logout).
CREATE TABLE browser_origins (
    browser_id  bigint PRIMARY KEY REFERENCES browsers ON DELETE CASCADE,
    provider    text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    sid         text COLLATE "C"
);
CREATE INDEX browser_origins_person ON browser_origins (provider, external_id);
CREATE INDEX browser_origins_session ON browser_origins (provider, sid) WHERE sid IS NOT NULL;

CREATE TABLE device_origins (
    device_nid  integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    provider    text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    sid         text COLLATE "C"
);
CREATE INDEX device_origins_person ON device_origins (provider, external_id);
CREATE INDEX device_origins_session ON device_origins (provider, sid) WHERE sid IS NOT NULL;

-- The same of devices that are about to sign in: somebody has agreed to it in a browser (OAuth).
CREATE TABLE expected_origins (
    user_id     text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    device_id   text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    external_id text COLLATE "C" NOT NULL,
    sid         text COLLATE "C",
    expires_ms  bigint NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
CREATE INDEX expected_origins_expiry ON expected_origins (expires_ms);

-- Logout tokens that have been used, until they expire: once more they would end sessions that began afterwards.
CREATE TABLE used_logout_tokens (
    token_hash bytea PRIMARY KEY,
    expires_ms bigint NOT NULL
);
CREATE INDEX used_logout_tokens_expiry ON used_logout_tokens (expires_ms);

-- Login tokens of people who signed in in a browser; the others belong to the device that asked for them.
ALTER TABLE login_tokens ALTER COLUMN device_nid DROP NOT NULL;
ALTER TABLE login_tokens ADD COLUMN browser_id bigint REFERENCES browsers ON DELETE CASCADE;
ALTER TABLE login_tokens ADD COLUMN user_id text COLLATE "C" REFERENCES users ON DELETE CASCADE;
ALTER TABLE login_tokens ADD CHECK (device_nid IS NOT NULL OR (browser_id IS NOT NULL AND user_id IS NOT NULL));
CREATE INDEX login_tokens_browser ON login_tokens (browser_id) WHERE browser_id IS NOT NULL;
