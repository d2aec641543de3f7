-- +goose Up

-- SQLite stores the rows, and the index by expiry, in the order in which sessions
-- begin, which keeps pages full. Only the indexes by ID and by subject are in random
-- order.
CREATE TABLE sessions_in_order (
    number       INTEGER NOT NULL PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    generation   INTEGER NOT NULL,
    branch       INTEGER NOT NULL, -- 64 random bits, as a signed integer
    confirmed_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    end_reason   TEXT,
    subject      TEXT    NOT NULL,
    username     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    ip           TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT;
INSERT INTO sessions_in_order (id, generation, branch, confirmed_at, expires_at, ended_at, end_reason,
        subject, username, scope, device, ip, created_at)
    SELECT id, generation, branch, confirmed_at, expires_at, ended_at, end_reason,
        subject, username, scope, device, ip, created_at
    FROM sessions ORDER BY created_at;
DROP TABLE sessions;
ALTER TABLE sessions_in_order RENAME TO sessions;

-- No index contains a column that a confirmation changes.
CREATE INDEX sessions_live_by_subject ON sessions (subject) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- One document: the keys of the server, encrypted.
CREATE TABLE keys (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version  INTEGER NOT NULL,
    document BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE keys;
