"""The code AWS runs: thin handlers over pure cores."""
