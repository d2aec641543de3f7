-- +goose Up

ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN disabled_at INTEGER NOT NULL DEFAULT 0; -- 0 is never
ALTER TABLE users ADD COLUMN unlocked_at INTEGER NOT NULL DEFAULT 0;

-- Who did what. Rows are only added, and deleted when they are old.
CREATE TABLE audit (
    number  INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    subject TEXT    NOT NULL,
    session TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    record  TEXT    NOT NULL -- JSON
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_subject ON audit (subject, at) WHERE subject <> '';
CREATE INDEX audit_by_session ON audit (session, at) WHERE session <> '';

-- +goose Down
DROP TABLE audit;
