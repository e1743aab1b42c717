-- Forgetting: where the journal speaks of somebody, who is being forgotten and how far that is, and what stays of it.

CREATE TABLE mentions (                -- whom an event of the journal is about; gone once they are forgotten
    who TEXT NOT NULL,                 -- a contact's id, or a journey's own (a member's)
    position BIGINT NOT NULL,
    PRIMARY KEY (who, position)
) {keyed};

CREATE TABLE noted (                   -- whom an event names on which nobody acts; gone once they are forgotten
    position BIGINT NOT NULL,          -- first: many come in a second, few are ever looked for, and those by a walk
    who TEXT NOT NULL,                 -- the digest of an address
    PRIMARY KEY (position, who)
) {keyed};

CREATE TABLE forgettings (             -- one for each contact who was ever to be forgotten
    contact TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    done_ms BIGINT NOT NULL,           -- 0: under way
    stage TEXT NOT NULL,               -- what is being removed: effects/forgetting.py
    after TEXT NOT NULL,               -- the last row of the stage that was looked at
    who TEXT NOT NULL                  -- JSON: under what else the journal mentions them; emptied when it is done
) {keyed};

CREATE TABLE tombstones (              -- what is known of somebody who was forgotten, by a keyed digest only
    workspace TEXT NOT NULL,
    digest TEXT NOT NULL,              -- of an address, or of what a member was found by
    subject TEXT NOT NULL,             -- whose it was: an id that leads to nothing any more
    at_ms BIGINT NOT NULL,             -- when they were forgotten
    refused TEXT NOT NULL,             -- JSON: what must not be sent there: [purpose, channel, at_ms]
    PRIMARY KEY (workspace, digest)
) {keyed};

CREATE INDEX addresses_contact ON addresses (contact);
CREATE INDEX links_contact ON links (contact);
-- Messages wait in their contact's lane and are found by their delivery; what else a run asked for, by its run.
CREATE INDEX outbox_runs ON outbox (lane) WHERE kind <> 'send';

-- What the line itself said names its contact; older events of other sources are found where they wrote our id.
INSERT INTO mentions (who, position) SELECT subject, position FROM journal WHERE subject LIKE 'con!_%' ESCAPE '!';
