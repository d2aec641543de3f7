-- Times are milliseconds since 1970-01-01 UTC.

-- +goose Up
CREATE TABLE sessions (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
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
) STRICT, WITHOUT ROWID;

-- No index contains a column that a confirmation changes.
CREATE INDEX sessions_live_by_subject ON sessions (subject, created_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE users (
    name          TEXT    NOT NULL PRIMARY KEY,
    subject       TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    version       INTEGER NOT NULL, -- counts the passwords that the user has had
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, which Ping updates to learn whether the database can be written.
CREATE TABLE health (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    pinged_at INTEGER NOT NULL
) STRICT;
INSERT INTO health (id, pinged_at) VALUES (1, 0);

-- +goose Down
DROP TABLE health;
DROP TABLE users;
DROP TABLE sessions;
