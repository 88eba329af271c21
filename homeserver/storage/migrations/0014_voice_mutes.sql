-- Who was muted by a moderator in which room's calls: until somebody lifts it, whether he is in a call or not.
-- `what` is microphone, camera or screen.
CREATE TABLE voice_mutes (
    room_id  text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    what     text COLLATE "C" NOT NULL,
    muted_by text COLLATE "C" NOT NULL,
    since_ms bigint NOT NULL,
    PRIMARY KEY (room_id, user_id, what)
);
