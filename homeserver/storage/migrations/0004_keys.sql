-- End-to-end encryption: what devices publish for each other, and the letterboxes they read.
-- Everything of a device hangs on `devices.device_nid`, which is never used twice: a device that comes back under an
-- old name finds nothing of its predecessor's. The fast-moving tables have no foreign key, because checking it locks the
-- device's row at each insert; the trigger at the end of this file empties them together with the device.

-- Identity keys, one row a device. `keys` is the canonical JSON of the uploaded object without `unsigned`;
-- signatures of the user's self-signing key are merged into it.
CREATE TABLE device_keys (
    device_nid  integer PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    keys        bytea NOT NULL,
    uploaded_ms bigint NOT NULL
);

-- Unclaimed one-time keys. A claim deletes the row it gives out; `upload_nid` is the order of arrival.
CREATE TABLE one_time_keys (
    device_nid integer NOT NULL,
    algorithm  text COLLATE "C" NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    upload_nid bigint GENERATED ALWAYS AS IDENTITY,
    key        bytea NOT NULL,
    PRIMARY KEY (device_nid, algorithm, key_id)
);

CREATE TABLE fallback_keys (
    device_nid integer NOT NULL REFERENCES devices ON DELETE CASCADE,
    algorithm  text COLLATE "C" NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    key        bytea NOT NULL,
    used       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (device_nid, algorithm)
);

-- usage: master, self_signing or user_signing. `key` is canonical JSON; signatures of the owner's own devices and
-- master key are in it, those of other users are in cross_signing_signatures.
CREATE TABLE cross_signing_keys (
    user_id     text COLLATE "C" NOT NULL,
    usage       text NOT NULL,
    public_key  text COLLATE "C" NOT NULL,
    key         bytea NOT NULL,
    uploaded_ms bigint NOT NULL,
    PRIMARY KEY (user_id, usage)
);

-- What one user's user-signing key signed: other users' master keys. Only the signer ever sees these rows.
CREATE TABLE cross_signing_signatures (
    signer_user_id    text COLLATE "C" NOT NULL,
    target_user_id    text COLLATE "C" NOT NULL,
    target_public_key text COLLATE "C" NOT NULL,
    signing_key_id    text COLLATE "C" NOT NULL,
    signature         text NOT NULL,
    PRIMARY KEY (signer_user_id, target_user_id, target_public_key, signing_key_id)
);

-- The newest change of each user's devices or cross-signing keys. observer '' is everybody who shares a room with the
-- user; a user id is a change that only this user can see (he signed somebody, or changed his user-signing key).
CREATE TABLE device_list_changes (
    user_id  text COLLATE "C" NOT NULL,
    observer text COLLATE "C" NOT NULL DEFAULT '',
    position bigint NOT NULL,
    PRIMARY KEY (user_id, observer)
);
CREATE INDEX device_list_changes_position ON device_list_changes (position);

-- Messages waiting for a device. All messages of one request have one position. `message` is the event as it goes out.
CREATE TABLE to_device_messages (
    device_nid integer NOT NULL,
    position   bigint NOT NULL,
    message    bytea NOT NULL,
    PRIMARY KEY (device_nid, position)
);

-- Rows above are deleted once read, so their highest position says nothing after a restart. Each start of a process takes
-- the next number from here and counts upwards from 2^32 times that.
CREATE SEQUENCE to_device_starts AS bigint MINVALUE 0 START 0;

-- Requests already carried out: a digest of user, device, event type and transaction id.
CREATE TABLE to_device_transactions (
    digest  bytea PRIMARY KEY,
    sent_ms bigint NOT NULL
);

-- Messages for users of other servers, one `m.direct_to_device` EDU content a row, in the order in which each
-- destination has to get them. The federation sender deletes what has been delivered.
CREATE TABLE outbound_to_device (
    outbound_nid bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination  text COLLATE "C" NOT NULL,
    content      bytea NOT NULL,
    sent_ms      bigint NOT NULL
);
CREATE INDEX outbound_to_device_destination ON outbound_to_device (destination, outbound_nid);

-- Versions of a user's key backup, counted from 1. A deleted version leaves its row, so that no number comes twice and
-- deleting it again succeeds.
CREATE TABLE key_backup_versions (
    user_id   text COLLATE "C" NOT NULL REFERENCES users ON DELETE CASCADE,
    version   bigint NOT NULL,
    algorithm text NOT NULL,
    auth_data bytea NOT NULL,
    etag      bigint NOT NULL DEFAULT 0,
    key_count bigint NOT NULL DEFAULT 0,
    deleted   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, version)
);

CREATE TABLE key_backup_keys (
    user_id             text COLLATE "C" NOT NULL,
    version             bigint NOT NULL,
    room_id             text COLLATE "C" NOT NULL,
    session_id          text COLLATE "C" NOT NULL,
    first_message_index bigint NOT NULL,
    forwarded_count     bigint NOT NULL,
    is_verified         boolean NOT NULL,
    session_data        bytea NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id),
    FOREIGN KEY (user_id, version) REFERENCES key_backup_versions ON DELETE CASCADE
);

-- MSC3814. The device itself is a row of `devices` like any other, so it gets keys and messages like any other.
CREATE TABLE dehydrated_devices (
    user_id     text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    device_nid  integer NOT NULL UNIQUE REFERENCES devices ON DELETE CASCADE,
    device_data bytea NOT NULL
);

CREATE FUNCTION forget_letterboxes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM one_time_keys WHERE device_nid IN (SELECT device_nid FROM gone);
    DELETE FROM to_device_messages WHERE device_nid IN (SELECT device_nid FROM gone);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_letterboxes AFTER DELETE ON devices
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_letterboxes();
