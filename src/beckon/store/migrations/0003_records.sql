CREATE TABLE records (                 -- an integrator's own rows: courier cards, orders; found by key within a turn
    workspace TEXT NOT NULL,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,                 -- as it is compared: see core/records.py
    changed_ms BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (workspace, collection, key)
) {keyed};
