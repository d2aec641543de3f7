-- +goose Up

ALTER TABLE tandem_users ADD COLUMN roles text NOT NULL DEFAULT '';
ALTER TABLE tandem_users ADD COLUMN disabled_at timestamptz;
ALTER TABLE tandem_users ADD COLUMN unlocked_at timestamptz;

-- Who did what. Rows are only added, and deleted when they are old.
CREATE TABLE tandem_audit (
    id      text        NOT NULL PRIMARY KEY,
    at      timestamptz NOT NULL,
    subject text        NOT NULL,
    session text        NOT NULL,
    action  text        NOT NULL,
    record  jsonb       NOT NULL
);
CREATE INDEX tandem_audit_by_time ON tandem_audit (at);
CREATE INDEX tandem_audit_by_subject ON tandem_audit (subject, at) WHERE subject <> '';
CREATE INDEX tandem_audit_by_session ON tandem_audit (session, at) WHERE session <> '';

-- +goose Down
DROP TABLE tandem_audit;
