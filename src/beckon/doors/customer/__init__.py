"""The customer's doors: ``/go/{code}`` opens a signed link, ``/stop/{code}`` ends messages."""

from beckon.doors.customer.book import Facts, LinkBook, StoredLinks
from beckon.doors.customer.doors import CustomerDoor, routes

__all__ = ["CustomerDoor", "Facts", "LinkBook", "StoredLinks", "routes"]
