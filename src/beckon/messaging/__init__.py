"""REACH: contacts, consent, templates, the best channel and the reasons, rendering, deliveries."""
