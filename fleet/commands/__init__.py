"""The commands of `python -m fleet`: each reads what it was given, calls one verb, and tells."""
