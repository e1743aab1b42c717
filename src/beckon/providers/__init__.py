"""The parties outside: one folder each, found by scanning (and by the entry point ``beckon.providers``)."""
