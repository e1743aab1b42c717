"""Effects: what an event changes, room by room, within one turn of the wheel.

``load`` finds whom the turn's events are about and fetches every row that they touch, a few queries for the whole
batch. ``take`` and ``fire`` then touch memory only. ``follow`` asks for what became known on the way: results that came
before their wait, and contacts whom a step named.

=================  ======================================================================
``turn``           the order of it: begin to read here
``people``         whom an event is about, and what it says of them
``running``        runs begin, wait, go on, and ask for something
``sending``        what is asked for becomes a delivery in the outbox
``receipts``       what became of a delivery
``talking``        what stands in the conversation
``forgetting``     a person is forgotten, piece by piece
``definitions``    uploads, and approvals of templates
=================  ======================================================================
"""

from beckon.effects.turn import Effects

__all__ = ["Effects"]
