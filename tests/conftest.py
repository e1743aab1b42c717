"""What every test may ask for: databases, a browser; and the guards that watch all of them.

    postgres_server     one private PostgreSQL for the session
    postgres_url        a fresh, empty database in it
    private_postgres    a server for one test, which may stop, kill and start it
    database_url        "the same tests over both": the test runs on SQLite and on PostgreSQL
    browser             one Chromium for the session
    page, phone         a fresh page in a context of its own, on a desk or in a hand

Guards: nothing but loopback is reachable, no task outlives its test, no process outlives the session.
"""

pytest_plugins = ["tests.kit.browser", "tests.kit.guards", "tests.kit.postgres"]
