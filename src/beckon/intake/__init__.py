"""IN: accept (verify, de-duplicate, append), the journal, schemas, mappings, signatures."""
