"""OUT: commands on their way to the world: queue, retry, rate limits, connections."""
