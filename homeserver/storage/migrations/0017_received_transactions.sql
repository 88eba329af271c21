-- What other servers have sent: their transactions with our answers, so that a repetition gets the same answer without being
-- done again, and events that were acknowledged before they were dealt with.

CREATE TABLE received_transactions (
    origin         text NOT NULL,
    transaction_id text NOT NULL,
    received_ms    bigint NOT NULL,
    answer         bytea NOT NULL,
    PRIMARY KEY (origin, transaction_id)
);
CREATE INDEX received_transactions_age ON received_transactions (received_ms);

-- Checked already: format, signatures, hash. Deleted when their fate is decided.
CREATE TABLE staged_pdus (
    room_id     text NOT NULL,
    event_id    text NOT NULL,
    origin      text NOT NULL,
    staged_ms   bigint NOT NULL,
    retry_at_ms bigint NOT NULL,
    pdu         bytea NOT NULL,
    PRIMARY KEY (room_id, event_id)
);
CREATE INDEX staged_pdus_due ON staged_pdus (retry_at_ms);
