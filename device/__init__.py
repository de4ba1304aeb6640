"""The reference device: what firmware engineers read before they write the real one."""
