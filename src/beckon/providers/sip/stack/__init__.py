"""The SIP process: dialogs, registrations, passwords. It knows no media: session descriptions pass through as text.

``sippy_stack`` mends sippy, ``dialogs`` and ``loop`` use it, and nothing else knows it; ``exchange`` joins them to the
server; ``registrar``, ``digest`` and ``access`` decide who may register and call.
"""
