"""The contract: what device and cloud agree on. Imports nothing of ours."""
