-- +goose Up

-- Keys that may be used once, such as the IDs of tickets.
CREATE TABLE once (
    key   TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL -- when the row may be deleted
) STRICT, WITHOUT ROWID;
CREATE INDEX once_by_time ON once (until);

-- +goose Down
DROP TABLE once;
