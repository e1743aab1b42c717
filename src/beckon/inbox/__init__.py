"""PEOPLE: conversations, entries, assignment: what the team sees and does."""
