"""Beckon: an event reaches the contact on the best channel, and the result comes home."""

__version__ = "0.1.0"
