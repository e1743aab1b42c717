-- Big work (a campaign to all members) goes on when nobody else waits.
CREATE TABLE big_timers (              -- as timers: what is due for a great many
    due_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,                -- run, or a journey's own
    subject TEXT NOT NULL,
    PRIMARY KEY (due_ms, kind, subject)
) {keyed};
INSERT INTO big_timers SELECT due_ms, kind, subject FROM timers WHERE kind IN ('loyalty.due', 'loyalty.round');
DELETE FROM timers WHERE kind IN ('loyalty.due', 'loyalty.round');

-- What it led to waits behind everything else that is ready.
ALTER TABLE outbox ADD COLUMN big BIGINT NOT NULL DEFAULT 0;   -- 1: one of a great many
DROP INDEX outbox_due;
DROP INDEX outbox_ready;
CREATE INDEX outbox_due ON outbox (big, due_ms) WHERE state = 'scheduled';
CREATE INDEX outbox_again ON outbox (due_ms) WHERE state = 'retrying';
CREATE INDEX outbox_ready ON outbox (big, number) WHERE state = 'ready';
CREATE INDEX outbox_big ON outbox (big, lane) WHERE state = 'ready' AND big = 1;
