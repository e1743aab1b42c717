"""The tests; they mirror the plan of the codebase. ``tests/kit`` holds what they share."""
