"""Compare what the ledger holds with what a cluster holds, say who acts on each difference, and mend what is ours."""
