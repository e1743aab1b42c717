"""A workshop visit provider of our own, for the sandbox: plans visits and gathers check-ins in its web app.

It knows Beckon only as its partners do: it posts ``checkin.start``, ``checkin.opened`` and
``checkin.finished`` as CloudEvents with an API key.
"""

from beckon.sandbox.wvp.app import Config, Wvp, create
from beckon.sandbox.wvp.visits import Appointment, Customer, Vehicle, Visit

__all__ = ["Appointment", "Config", "Customer", "Vehicle", "Visit", "Wvp", "create"]
