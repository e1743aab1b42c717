"""The carrier: carries out the commands that leave the process, and accepts their outcomes as events.

For a message: choose (best channel, and why not the others) → render → mark as in flight → hand over → outcome. Its row
leaves the outbox in the transaction that takes its outcome in, so a crash in between leaves exactly the messages that
were in flight, and those are marked doubtful.

============  ==========================================================================
``pump``      takes what is ready and has it carried out: begin to read here
``choosing``  on which channel a message leaves, and in which words
``gates``     how fast a provider is asked, and when it is left alone
``messages``  one message is handed over
``commands``  calls of the web, acts by name
``outcomes``  what came of it becomes an event, and the row goes away
============  ==========================================================================
"""

from beckon.carrier.choosing import Ready
from beckon.carrier.pump import Carrier

__all__ = ["Carrier", "Ready"]
