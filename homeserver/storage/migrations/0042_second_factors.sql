-- One-time codes (TOTP, RFC 6238) beside passwords: the secret that an authenticator app shares with us.
CREATE TABLE totp (
    user_id          text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    -- Base32; NULL before a first code has shown that the app has it.
    secret           text,
    enrolled_ms      bigint,
    -- The newest step of 30 seconds whose code has been used: none is good twice, and no older one afterwards.
    last_step        bigint NOT NULL DEFAULT 0,
    -- Wrong codes since the last right one, and until when none is looked at.
    failures         integer NOT NULL DEFAULT 0,
    blocked_until_ms bigint NOT NULL DEFAULT 0,
    -- One that is shown just now, and becomes the secret with its first code.
    new_secret       text,
    new_expires_ms   bigint
);

-- Codes for who has lost the app, as SHA-256; a row goes when its code is used.
CREATE TABLE recovery_codes (
    user_id   text COLLATE "C" NOT NULL REFERENCES totp ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
