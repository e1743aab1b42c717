-- Loyalty: members → points → offers → campaigns; and the answers of turns, kept for those who ask again.
-- What a purchase writes is appended at the end of a table wherever that can be: with a million members each page that
-- is touched somewhere in the middle is a page of its own. So a member's points are chained by ``previous`` and need no
-- index, open offers stand in the member's own row, and what is due is one narrow table.

CREATE TABLE answers (                 -- the event's position → what its turn answered
    position {rowid},
    answer TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE members (
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    state TEXT NOT NULL,               -- active, suspended, forgotten
    changed_ms BIGINT NOT NULL,
    body TEXT NOT NULL                 -- journeys.loyalty_offers.member.Member as JSON: profile, lots, tier, counts
) {keyed};

CREATE TABLE member_keys (             -- by what a member is found
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,                -- email, contact, external:<type>
    word TEXT NOT NULL,
    member TEXT NOT NULL,
    PRIMARY KEY (workspace, kind, word)
) {keyed};

CREATE TABLE points (                  -- the ledger: rows are added, never changed
    number {rowid},
    workspace TEXT NOT NULL,
    member TEXT NOT NULL,
    previous BIGINT NOT NULL,          -- the member's entry before this one; 0: the first
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,                -- earn, spend, expire, reverse
    amount BIGINT NOT NULL,            -- with its sign
    balance BIGINT NOT NULL,           -- the member's, after it
    body TEXT NOT NULL                 -- journeys.loyalty_offers.ledger.Entry as JSON: lots, sale, campaign, why
);

CREATE TABLE sales (                   -- transactions, as they stand after their last change
    workspace TEXT NOT NULL,
    sale TEXT NOT NULL,
    member TEXT NOT NULL,
    state TEXT NOT NULL,               -- open, closed, voided
    modified_ms BIGINT NOT NULL,       -- the till's own instant: it never goes back
    body TEXT NOT NULL,                -- journeys.loyalty_offers.sale.Sale as JSON: items, what it gave, what was skipped
    PRIMARY KEY (workspace, sale)
) {keyed};

CREATE TABLE offers (                  -- what was issued to members
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    member TEXT NOT NULL,
    definition TEXT NOT NULL,
    campaign TEXT NOT NULL,            -- empty: by hand, by a code or from the rewards store
    state TEXT NOT NULL,               -- issued, locked, redeemed, expired, revoked
    issued_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,        -- 0: never
    body TEXT NOT NULL                 -- journeys.loyalty_offers.offer.Offer as JSON
) {keyed};
CREATE INDEX offers_member ON offers (member, id);

CREATE TABLE loyalty_due (             -- one row for each offer or member of which something is due, the next thing only
    due_ms BIGINT NOT NULL,            -- rounded up to a full minute: a timer of the line stands for all of a minute
    kind TEXT NOT NULL,                -- offer, member
    subject TEXT NOT NULL,
    PRIMARY KEY (due_ms, kind, subject)
) {keyed};

CREATE TABLE campaign_days (           -- what came of a campaign, day by day
    workspace TEXT NOT NULL,
    day BIGINT NOT NULL,               -- days since 1970-01-01, UTC; -1: all of them
    campaign TEXT NOT NULL,
    reached BIGINT NOT NULL,           -- times that it met somebody and was met
    issued BIGINT NOT NULL,            -- offers
    redeemed BIGINT NOT NULL,
    points BIGINT NOT NULL,            -- given, less what was taken back
    cost BIGINT NOT NULL,              -- in the currency's minor unit: discounts redeemed, and points at their value
    skipped TEXT NOT NULL,             -- JSON: code → times
    PRIMARY KEY (workspace, day, campaign)
) {keyed};

CREATE TABLE offer_counts (            -- how many of an offer went out in all
    workspace TEXT NOT NULL,
    definition TEXT NOT NULL,
    issued BIGINT NOT NULL,
    redeemed BIGINT NOT NULL,
    PRIMARY KEY (workspace, definition)
) {keyed};

CREATE TABLE campaign_rounds (         -- a campaign going through all members, a piece in each turn
    id TEXT PRIMARY KEY,
    workspace TEXT NOT NULL,
    campaign TEXT NOT NULL,
    state TEXT NOT NULL,               -- running, done, stopped
    after TEXT NOT NULL,               -- the last member who was looked at
    looked BIGINT NOT NULL,
    reached BIGINT NOT NULL,
    skipped TEXT NOT NULL,             -- JSON: code → members
    started_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL
) {keyed};

CREATE TABLE promo_codes (
    workspace TEXT NOT NULL,
    code TEXT NOT NULL,                -- folded: capitals, no blanks, no hyphens
    list TEXT NOT NULL,
    uses BIGINT NOT NULL,
    member TEXT NOT NULL,              -- single-use: who took it; empty: nobody yet
    used_ms BIGINT NOT NULL,
    PRIMARY KEY (workspace, code)
) {keyed};
CREATE INDEX promo_codes_list ON promo_codes (workspace, list, code);
