-- Proofs that an address (third-party identifier) is somebody's: a mail with a link, then whatever the proof is for.
CREATE TABLE threepid_sessions (
    session_id   text COLLATE "C" PRIMARY KEY,
    -- SHA-256 of the client's secret: who does not know it gets nothing for a proof.
    secret_hash  bytea NOT NULL,
    -- "add", "register", "reset": a proof is good for what its mail has said, and for nothing else.
    purpose      text NOT NULL,
    medium       text NOT NULL,
    address      text NOT NULL,
    send_attempt bigint NOT NULL,
    -- SHA-256 of the tokens in the latest mails, newest first; none where no mail may help (the address is in use).
    token_hashes bytea[] NOT NULL,
    next_link    text,
    validated_ms bigint,
    expires_ms   bigint NOT NULL,
    UNIQUE (secret_hash, medium, address, purpose)
);
CREATE INDEX threepid_sessions_expiry ON threepid_sessions (expires_ms);

-- Which identity server was told that an address is a user's, so that it can be told otherwise.
CREATE TABLE threepid_bindings (
    user_id   text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    medium    text NOT NULL,
    address   text NOT NULL,
    id_server text NOT NULL,
    bound_ms  bigint NOT NULL,
    PRIMARY KEY (user_id, medium, address, id_server)
);
