-- Keys of other servers, those that they use and those that they used once.
CREATE TABLE server_keys (
    server_name     text COLLATE "C" NOT NULL,
    key_id          text COLLATE "C" NOT NULL,
    verify_key      bytea NOT NULL,
    -- What was signed later is not believed.
    usable_until_ms bigint NOT NULL,
    fetched_ms      bigint NOT NULL,
    PRIMARY KEY (server_name, key_id)
);

-- The last document that each of them published its keys in, as it was signed: this server hands it on as a notary.
CREATE TABLE server_key_documents (
    server_name    text COLLATE "C" PRIMARY KEY,
    fetched_ms     bigint NOT NULL,
    -- valid_until_ts in it
    valid_until_ms bigint NOT NULL,
    document       bytea NOT NULL
);

-- Servers that could not be reached, and when they are tried again; who answers is not here. Written in batches.
CREATE TABLE unreachable_servers (
    server_name      text COLLATE "C" PRIMARY KEY,
    failing_since_ms bigint NOT NULL,
    pause_ms         bigint NOT NULL,
    retry_at_ms      bigint NOT NULL
);
CREATE INDEX unreachable_servers_retry ON unreachable_servers (retry_at_ms);
