"""Our own HTTP API: events, contacts, conversations, flows, runs, deliveries."""
