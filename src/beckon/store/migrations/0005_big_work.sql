-- What big work led to (a campaign to all members) waits behind everything else that is ready.
ALTER TABLE outbox ADD COLUMN big BIGINT NOT NULL DEFAULT 0;   -- 1: one of a great many
DROP INDEX outbox_due;
DROP INDEX outbox_ready;
CREATE INDEX outbox_due ON outbox (big, due_ms) WHERE state = 'scheduled';
CREATE INDEX outbox_again ON outbox (due_ms) WHERE state = 'retrying';
CREATE INDEX outbox_ready ON outbox (big, number) WHERE state = 'ready';
CREATE INDEX outbox_big ON outbox (big, lane) WHERE state = 'ready' AND big = 1;
