"""DECIDE: flows as data; what a run does next, what it waits for, how it is drawn. Pure but for reading files."""
