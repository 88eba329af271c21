-- Who is behind a participant of the SFU, whose names there are hashes: everybody who was given a token and may still use it
-- or is in the call. `delay_id` is the delayed event that says for him that he has left, where he handed it to us.
CREATE TABLE voice_identities (
    sfu_room  text COLLATE "C" NOT NULL,
    identity  text COLLATE "C" NOT NULL,
    room_id   text COLLATE "C" NOT NULL,
    slot_id   text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    device_id text COLLATE "C",
    member_id text COLLATE "C",
    delay_id  text COLLATE "C",
    delay_ms  bigint,
    -- When he was last given a token or seen in the call.
    seen_ms   bigint NOT NULL,
    PRIMARY KEY (sfu_room, identity)
);
CREATE INDEX voice_identities_seen ON voice_identities (seen_ms);
