"""The store: one database (SQLite or PostgreSQL), its migrations, and live notifications."""
