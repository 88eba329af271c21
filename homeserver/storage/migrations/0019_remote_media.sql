-- Files of other servers, kept until the room is needed for newer ones. A row is there before its blob and after it, so
-- that no blob is ever forgotten on the disk: 'arriving' while it is written, 'here', 'going' while it is removed.
CREATE TABLE remote_media (
    blob           text COLLATE "C" PRIMARY KEY,
    number         bigint GENERATED ALWAYS AS IDENTITY,
    server_name    text COLLATE "C" NOT NULL,
    media_id       text COLLATE "C" NOT NULL,
    standing       text NOT NULL DEFAULT 'arriving' CHECK (standing IN ('arriving', 'here', 'going')),
    size           bigint NOT NULL DEFAULT 0,
    -- With its thumbnails.
    bytes          bigint NOT NULL DEFAULT 0,
    content_type   text,
    file_name      text,
    fetched_ms     bigint NOT NULL,
    last_access_ms bigint NOT NULL
);
CREATE UNIQUE INDEX remote_media_file ON remote_media (server_name, media_id) WHERE standing = 'here';
CREATE INDEX remote_media_access ON remote_media (last_access_ms, number) INCLUDE (bytes) WHERE standing = 'here';
CREATE INDEX remote_media_passing ON remote_media (fetched_ms) WHERE standing <> 'here';

CREATE TABLE remote_media_thumbnails (
    blob         text COLLATE "C" NOT NULL REFERENCES remote_media ON DELETE CASCADE,
    width        integer NOT NULL,
    height       integer NOT NULL,
    method       text NOT NULL,
    content_type text NOT NULL,
    size         bigint NOT NULL,
    PRIMARY KEY (blob, width, height, method)
);
