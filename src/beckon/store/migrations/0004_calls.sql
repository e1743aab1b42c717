CREATE TABLE calls (
    id TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    contact TEXT NOT NULL,             -- empty: a number that is withheld
    script TEXT NOT NULL,
    direction TEXT NOT NULL,           -- in, out
    outcome TEXT NOT NULL,             -- empty: under way
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT NOT NULL,          -- 0: under way
    body TEXT NOT NULL                 -- journeys/call_processing/kept.py
) {keyed};
CREATE INDEX calls_started ON calls (workspace, started_ms);
CREATE INDEX calls_contact ON calls (contact, started_ms);
CREATE INDEX calls_under_way ON calls (workspace) WHERE ended_ms = 0;

CREATE TABLE recordings (              -- files beside the switch; a row goes after its file
    id TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    call TEXT NOT NULL,
    contact TEXT NOT NULL,
    keep_until_ms BIGINT NOT NULL,     -- the next round of maintenance after it removes the file
    path TEXT NOT NULL
) {keyed};
CREATE INDEX recordings_contact ON recordings (contact);
CREATE INDEX recordings_over ON recordings (workspace, keep_until_ms);
