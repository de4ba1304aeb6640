"""Revocation lists (RFC 5280, section 5): what to put on one, how it becomes bytes, which number it has."""
