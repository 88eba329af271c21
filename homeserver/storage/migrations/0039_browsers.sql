-- Browsers of people: who is signed in in them, and what they came for. A browser is known by a cookie.
CREATE TABLE browsers (
    browser_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of the cookie; another one after every sign-in.
    token_hash   bytea NOT NULL UNIQUE,
    -- NULL before anybody has signed in.
    user_id      text COLLATE "C" REFERENCES users ON DELETE CASCADE,
    -- How he proved who he is: "password", "totp", "oidc:example".
    methods      text[] NOT NULL DEFAULT '{}',
    signed_in_ms bigint,
    expires_ms   bigint NOT NULL
);
CREATE INDEX browsers_user ON browsers (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX browsers_expiry ON browsers (expires_ms);

-- What a browser came for, and where it goes on once somebody is signed in. Of no use in any other browser.
CREATE TABLE browser_pendings (
    pending_id     text COLLATE "C" PRIMARY KEY,
    browser_id     bigint NOT NULL REFERENCES browsers ON DELETE CASCADE,
    kind           text NOT NULL,
    memory         jsonb NOT NULL,
    -- Who signed in before this has to do so again.
    fresh_since_ms bigint NOT NULL DEFAULT 0,
    -- Who has proved a first factor and owes the second: {"user_id", "methods", "until_ms"}.
    half           jsonb,
    expires_ms     bigint NOT NULL
);
CREATE INDEX browser_pendings_browser ON browser_pendings (browser_id, expires_ms);
CREATE INDEX browser_pendings_expiry ON browser_pendings (expires_ms);
