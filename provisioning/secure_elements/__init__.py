"""Secure elements that come with a key and a certificate: their vendors' files, checked and made identities of ours."""
