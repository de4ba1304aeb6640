"""The factory: issue, record, register, rotate and revoke device identities."""
