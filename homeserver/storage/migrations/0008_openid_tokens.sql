-- With these, a service outside of the server (a widget, the media server of a call) asks who its visitor is. Kept as SHA-256.
CREATE TABLE openid_tokens (
    token_hash bytea PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    -- Ends with this device; NULL for users of application services, who have none.
    device_nid integer REFERENCES devices ON DELETE CASCADE,
    expires_ms bigint NOT NULL
);
CREATE INDEX openid_tokens_user ON openid_tokens (user_id);
CREATE INDEX openid_tokens_device ON openid_tokens (device_nid);
CREATE INDEX openid_tokens_expiry ON openid_tokens (expires_ms);
