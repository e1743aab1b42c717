"""What every page needs: templates, signed links, sessions, live streams, locales, static files."""
