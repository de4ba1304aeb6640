"""A fleet in one process: the real agent a thousand times over, on real connections, through a network that fails."""
