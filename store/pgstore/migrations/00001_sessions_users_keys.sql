-- +goose Up
CREATE TABLE tandem_sessions (
    id           uuid        NOT NULL PRIMARY KEY,
    generation   bigint      NOT NULL, -- 32 bits, unsigned
    branch       bigint      NOT NULL, -- 64 random bits, as a signed integer
    confirmed_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_reason   text,
    subject      text        NOT NULL,
    username     text        NOT NULL,
    scope        text        NOT NULL,
    device       text        NOT NULL,
    ip           text        NOT NULL,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) WITH (fillfactor = 80); -- leaves room on a page for the next version of its rows

-- No index contains a column that a confirmation changes, so PostgreSQL makes a
-- heap-only update and touches no index.
CREATE INDEX tandem_sessions_live_by_subject ON tandem_sessions (subject) WHERE ended_at IS NULL;
CREATE INDEX tandem_sessions_by_expiry ON tandem_sessions (expires_at);
CREATE INDEX tandem_sessions_by_end ON tandem_sessions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE tandem_users (
    name          text        NOT NULL PRIMARY KEY,
    subject       text        NOT NULL UNIQUE,
    password_hash text        NOT NULL,
    version       bigint      NOT NULL, -- counts the passwords that the user has had
    created_at    timestamptz NOT NULL
);

-- One document: the keys of all servers, encrypted.
CREATE TABLE tandem_keys (
    id       integer NOT NULL PRIMARY KEY CHECK (id = 1),
    version  bigint  NOT NULL,
    document bytea   NOT NULL
);

-- One row, which Ping updates to learn whether the database can be written.
CREATE TABLE tandem_health (
    id        integer     NOT NULL PRIMARY KEY CHECK (id = 1),
    pinged_at timestamptz NOT NULL
);
INSERT INTO tandem_health (id, pinged_at) VALUES (1, now());

-- +goose Down
DROP TABLE tandem_health;
DROP TABLE tandem_keys;
DROP TABLE tandem_users;
DROP TABLE tandem_sessions;
