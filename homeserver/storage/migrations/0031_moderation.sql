-- What administrators take away: files, rooms, messages; and what they tell their users.

ALTER TABLE media ADD COLUMN protected boolean NOT NULL DEFAULT false;
-- Written now and then only (services/media/downloads.py); NULL: nobody has asked for it since this column came.
ALTER TABLE media ADD COLUMN last_access_ms bigint;
CREATE INDEX media_contents ON media (sha256) WHERE sha256 IS NOT NULL;
-- NULL for files that were fetched before this column came.
ALTER TABLE remote_media ADD COLUMN sha256 bytea;
CREATE INDEX remote_media_contents ON remote_media (sha256) WHERE sha256 IS NOT NULL AND standing = 'here';

-- Files that nobody gets: by name, and everything with the same contents, wherever it comes from. A row outlives its file.
CREATE TABLE quarantined_media (
    server_name    text COLLATE "C" NOT NULL,
    media_id       text COLLATE "C" NOT NULL,
    -- NULL where the file has never been here.
    sha256         bytea,
    quarantined_by text COLLATE "C" NOT NULL,
    quarantined_ms bigint NOT NULL,
    PRIMARY KEY (server_name, media_id)
);
CREATE INDEX quarantined_media_contents ON quarantined_media (sha256) WHERE sha256 IS NOT NULL;

-- Blobs (of files of this server, with their thumbnails) that are to leave the disk: their rows in `media` are gone already.
CREATE TABLE condemned_blobs (
    blob         text COLLATE "C" PRIMARY KEY,
    condemned_ms bigint NOT NULL
);

-- Nobody of this server comes in; also rooms that this server has never seen.
CREATE TABLE blocked_rooms (
    room_id    text COLLATE "C" PRIMARY KEY,
    blocked_by text COLLATE "C" NOT NULL,
    blocked_ms bigint NOT NULL
);

-- Long work that administrators have ordered, done in steps; a restart goes on where the last step ended.
CREATE TABLE long_tasks (
    task_id     text COLLATE "C" PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY,
    kind        text COLLATE "C" NOT NULL,
    -- The room or user it is about.
    target      text COLLATE "C" NOT NULL,
    ordered_by  text COLLATE "C" NOT NULL,
    -- What was asked for, and how far it has come.
    wish        jsonb NOT NULL,
    progress    jsonb NOT NULL DEFAULT '{}',
    status      text NOT NULL DEFAULT 'scheduled' CHECK (status IN ('scheduled', 'active', 'complete', 'failed')),
    error       text,
    ordered_ms  bigint NOT NULL,
    finished_ms bigint
);
CREATE INDEX long_tasks_open ON long_tasks (number) WHERE finished_ms IS NULL;
CREATE INDEX long_tasks_target ON long_tasks (target, kind, number);
CREATE INDEX long_tasks_finished ON long_tasks (finished_ms) WHERE finished_ms IS NOT NULL;

-- The one room in which the server tells a user something.
CREATE TABLE notice_rooms (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    room_id text COLLATE "C" NOT NULL UNIQUE
);
