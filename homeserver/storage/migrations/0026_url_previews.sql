-- What pages said when they were looked at. `facts` is the answer to clients, as JSON; NULL where the page could not be
-- had, so that it is not asked again at once. An address has as many rows as times it was looked at, until they are old.
CREATE TABLE url_previews (
    url        text COLLATE "C" NOT NULL,
    fetched_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    facts      text,
    -- Media id of its picture.
    picture    text COLLATE "C",
    PRIMARY KEY (url, fetched_ms)
);
CREATE INDEX url_previews_expiry ON url_previews (expires_ms);
CREATE INDEX url_previews_picture ON url_previews (picture) WHERE picture IS NOT NULL;

-- Their pictures: files of this server, in `media` as well. A row is there before the blob and after it, so that no blob
-- is ever forgotten on the disk.
CREATE TABLE url_preview_pictures (
    media_id   text COLLATE "C" PRIMARY KEY,
    number     bigint GENERATED ALWAYS AS IDENTITY,
    size       bigint NOT NULL DEFAULT 0,
    expires_ms bigint NOT NULL
);
CREATE INDEX url_preview_pictures_expiry ON url_preview_pictures (expires_ms);
CREATE INDEX url_preview_pictures_age ON url_preview_pictures (number) INCLUDE (size);
