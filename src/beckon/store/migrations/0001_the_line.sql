-- The line: journal → runs → outbox → deliveries → conversations.
-- One text for SQLite and PostgreSQL. {rowid}: a 64-bit key that is the row's own number;
-- {keyed}: the table is its own key's B-tree (SQLite: WITHOUT ROWID; PostgreSQL: nothing to say).
-- Instants are milliseconds since 1970 (…_ms), JSON is text, states are words.

CREATE TABLE marks (name TEXT PRIMARY KEY, value BIGINT NOT NULL) {keyed};

CREATE TABLE workspaces (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE api_keys (
    digest TEXT PRIMARY KEY,           -- SHA-256 of the key: the key itself is shown once and never kept
    workspace TEXT NOT NULL,
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,              -- words parted by blanks
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

CREATE TABLE people (                  -- those who sign in to the team's pages
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,                -- owner, agent
    password TEXT NOT NULL,            -- argon2id
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX people_email ON people (email);

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE TABLE definitions (             -- flows, templates, mappings, schemas, settings; every version is kept
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,             -- digest of the text
    body TEXT NOT NULL,
    origin TEXT NOT NULL,              -- folder, api
    current BIGINT NOT NULL,           -- 1: the one that new runs take
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace, kind, name, version)
) {keyed};

CREATE TABLE journal (
    position {rowid},
    workspace TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    time_ms BIGINT NOT NULL,
    accepted_ms BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX journal_once ON journal (workspace, source, id);

CREATE TABLE idempotency (             -- Idempotency-Key → the answer that was given
    workspace TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,         -- digest of the request's body
    answer TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace, idempotency_key)
) {keyed};

CREATE TABLE contacts (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    name TEXT NOT NULL,
    changed_ms BIGINT NOT NULL,
    body TEXT NOT NULL                 -- core.contact.Contact as JSON
);
CREATE INDEX contacts_name ON contacts (workspace, name);

CREATE TABLE addresses (
    workspace TEXT NOT NULL,
    channel TEXT NOT NULL,
    external_id TEXT NOT NULL,
    contact TEXT NOT NULL,
    PRIMARY KEY (workspace, channel, external_id)
) {keyed};

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    flow TEXT NOT NULL,
    version TEXT NOT NULL,
    key TEXT NOT NULL,
    contact TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    body TEXT NOT NULL                 -- flows.run.Run as JSON: variables, pointer, waits, history
);
CREATE INDEX runs_contact ON runs (contact);
CREATE INDEX runs_created ON runs (workspace, created_ms);

CREATE TABLE waits (                   -- who waits for an event of this shape with these values
    match_key TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (match_key, run)
) {keyed};

CREATE TABLE early (                   -- events that a wait may still ask for, by the same key
    match_key TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (match_key, position)
) {keyed};

CREATE TABLE timers (
    due_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,                -- run, delivery
    subject TEXT NOT NULL,             -- the run's or the delivery's id
    PRIMARY KEY (due_ms, kind, subject)
) {keyed};

CREATE TABLE outbox (                  -- commands that leave the process
    number {rowid},
    id TEXT NOT NULL,                  -- the command's id, or a delivery's
    workspace TEXT NOT NULL,
    lane TEXT NOT NULL,                -- one at a time in each lane: the contact, or the run
    kind TEXT NOT NULL,                -- send, call, http
    state TEXT NOT NULL,               -- scheduled, ready, in_flight, retrying, dead
    due_ms BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    body TEXT NOT NULL
);
-- Most rows come and go within a second, so what is indexed is only what must be found by something else.
CREATE INDEX outbox_due ON outbox (due_ms) WHERE state IN ('scheduled', 'retrying');
CREATE INDEX outbox_ready ON outbox (number) WHERE state = 'ready';
CREATE INDEX outbox_retrying ON outbox (lane) WHERE state = 'retrying';

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    contact TEXT NOT NULL,
    state TEXT NOT NULL,
    channel TEXT NOT NULL,
    provider TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    body TEXT NOT NULL                 -- core.delivery.Delivery as JSON: choice, attempts, receipts, text
);
CREATE INDEX deliveries_created ON deliveries (workspace, created_ms);
CREATE INDEX deliveries_contact ON deliveries (contact);

CREATE TABLE provider_ids (            -- a provider's id for a message → our delivery: how receipts find home
    workspace TEXT NOT NULL,
    provider TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    delivery TEXT NOT NULL,
    PRIMARY KEY (workspace, provider, provider_id)
) {keyed};

CREATE TABLE conversations (           -- one for each contact
    contact TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    state TEXT NOT NULL,               -- open, closed
    inbox TEXT NOT NULL,               -- the team whose list it stands in; empty: nobody's
    agent TEXT NOT NULL,
    unread BIGINT NOT NULL,
    preview TEXT NOT NULL,
    changed_ms BIGINT NOT NULL
);
CREATE INDEX conversations_changed ON conversations (workspace, changed_ms);

CREATE TABLE entries (                 -- what stands in a conversation, in order
    number {rowid},
    workspace TEXT NOT NULL,
    contact TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,                -- message, received, click, results, note, status, error, notice
    author TEXT NOT NULL,              -- contact, flow:<name>, agent:<id>, system
    delivery TEXT NOT NULL,            -- message: the delivery whose state is shown; else empty
    body TEXT NOT NULL
);
CREATE INDEX entries_contact ON entries (contact, number);

CREATE TABLE links (                   -- short links: /go/{code}
    code TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    contact TEXT NOT NULL,
    delivery TEXT NOT NULL,
    url TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
) {keyed};

CREATE TABLE approvals (               -- WhatsApp's state of a template, as its webhooks said it last
    workspace TEXT NOT NULL,
    provider TEXT NOT NULL,
    template TEXT NOT NULL,
    language TEXT NOT NULL,
    state TEXT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace, provider, template, language)
) {keyed};
