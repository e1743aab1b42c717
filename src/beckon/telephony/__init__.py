"""CALLS: what a switch is, whichever it is; its legs, prompts, bridges and recordings, and what is heard from it."""
