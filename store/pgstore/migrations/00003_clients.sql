-- +goose Up

-- The registry of OAuth 2 clients: one document.
CREATE TABLE tandem_clients (
    id       integer NOT NULL PRIMARY KEY CHECK (id = 1),
    version  bigint  NOT NULL,
    document bytea   NOT NULL
);

-- +goose Down
DROP TABLE tandem_clients;
