"""Identities that end: which ones, planned and looked at first, then carried out as far as it takes."""
