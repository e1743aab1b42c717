"""The parties outside, pretended, speaking their real wire formats: phones, systems, a clock, scenarios, a page.

``twins`` are the providers, ``wvp`` is the workshop visit provider, ``cast`` knows all of them and what each sees,
``playing`` plays ``scenarios`` with the cast, ``page`` shows it to a visitor. ``beckon.demo`` composes them with the
real server.
"""
