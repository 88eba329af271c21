-- Delayed events (MSC4140): what a user wants to be sent later, unless he says otherwise before. A scheduled one has no finalised_ms;
-- of the others event_id says that it was sent, error why it could not be, and neither that it was cancelled.
CREATE TABLE delayed_events (
    -- Also the right to send, restart or cancel it. Kept readable, for its owner may ask for it.
    delay_id      text COLLATE "C" PRIMARY KEY,
    user_id       text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    -- Empty for users of application services, who have none.
    device_id     text COLLATE "C" NOT NULL,
    is_guest      boolean NOT NULL,
    room_id       text COLLATE "C" NOT NULL,
    type          text COLLATE "C" NOT NULL,
    -- NULL: no state event.
    state_key     text COLLATE "C",
    content       bytea NOT NULL,
    sticky_ms     integer,
    delay_ms      bigint NOT NULL,
    -- Scheduled or last restarted at: due at running_since + delay_ms. Written in batches, so a crash may lose seconds of it.
    running_since bigint NOT NULL,
    -- Idempotency of the request that scheduled it; NULL where it had no transaction id.
    txn_key       text COLLATE "C",
    finalised_ms  bigint,
    event_id      text COLLATE "C",
    error         bytea
) WITH (fillfactor = 70);
-- No index holds running_since: restarts are updates in place.
CREATE UNIQUE INDEX delayed_events_txn ON delayed_events (user_id, device_id, txn_key) WHERE txn_key IS NOT NULL;
CREATE INDEX delayed_events_user ON delayed_events (user_id);
CREATE INDEX delayed_events_scheduled ON delayed_events (delay_id) WHERE finalised_ms IS NULL;
CREATE INDEX delayed_events_finalised ON delayed_events (finalised_ms) WHERE finalised_ms IS NOT NULL;
