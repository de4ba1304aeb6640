"""The commands of `python -m provisioning`: each reads what it was given, calls one verb, and tells."""
