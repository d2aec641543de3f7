-- +goose Up

-- Keys that may be used once, such as the IDs of tickets.
CREATE TABLE tandem_once (
    key   text        NOT NULL PRIMARY KEY,
    until timestamptz NOT NULL -- when the row may be deleted
);
CREATE INDEX tandem_once_by_time ON tandem_once (until);

-- +goose Down
DROP TABLE tandem_once;
