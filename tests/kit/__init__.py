"""Shared fixtures, as pytest plugins that ``tests/conftest.py`` names."""
