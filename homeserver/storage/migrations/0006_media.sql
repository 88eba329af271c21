-- Files. The bytes are blobs (storage/blobs), encrypted; here is what is known of them.
-- A row without size is a place that was asked for (POST /create) and has not been filled yet.

CREATE TABLE media (
    media_id     text COLLATE "C" PRIMARY KEY,
    user_id      text COLLATE "C" NOT NULL,
    created_ms   bigint NOT NULL,
    -- Until when a place that was asked for may be filled; NULL once it is.
    expires_ms   bigint,
    size         bigint,
    sha256       bytea,
    content_type text,
    file_name    text
);
CREATE INDEX media_user ON media (user_id, created_ms);
CREATE INDEX media_expiry ON media (expires_ms) WHERE expires_ms IS NOT NULL;

-- Made when first asked for. Width and height are those of the box, not of the picture in it.
CREATE TABLE media_thumbnails (
    media_id     text COLLATE "C" NOT NULL REFERENCES media ON DELETE CASCADE,
    width        integer NOT NULL,
    height       integer NOT NULL,
    method       text NOT NULL,
    content_type text NOT NULL,
    size         bigint NOT NULL,
    PRIMARY KEY (media_id, width, height, method)
);
