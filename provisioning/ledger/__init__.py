"""The ledger: what this factory is about to sign, what it signed, and what became of it (design decision 7)."""
