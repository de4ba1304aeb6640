"""What an auditor asks of a ledger, years later: is it whole, is it true, and what was left unfinished."""
