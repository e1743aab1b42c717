"""What every test may ask for: databases, a browser; and the guards that watch all of them.

    postgres_server     one private PostgreSQL for the session
    postgres_url        a fresh, empty database in it
    private_postgres    a server for one test, which may stop, kill and start it
    database_url        "the same tests over both": the test runs on SQLite and on PostgreSQL
    browser             one Chromium for the session
    page, phone         a fresh page in a context of its own, on a desk or in a hand

Guards: nothing but loopback is reachable, no task outlives its test, no process outlives the session.
"""

import os

from hypothesis import HealthCheck, settings

# No example is timed: the machine is noisy. Where all must pass before anything lands, the same examples are tried each
# time; elsewhere new ones are looked for.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

pytest_plugins = ["tests.kit.browser", "tests.kit.guards", "tests.kit.postgres"]
