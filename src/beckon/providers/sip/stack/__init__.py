"""The SIP process: dialogs, registrations, passwords. It knows no media: session descriptions pass through as text.

``sippy_stack`` is the only module that knows sippy; ``exchange`` joins it to the server; ``registrar``, ``digest`` and
``access`` decide who may register and call.
"""
