-- +goose Up

-- The registry of OAuth 2 clients: one document.
CREATE TABLE clients (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version  INTEGER NOT NULL,
    document BLOB    NOT NULL
) STRICT;

-- +goose Down
DROP TABLE clients;
