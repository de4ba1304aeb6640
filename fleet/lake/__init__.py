"""The lake after the writing: reading it folded, keeping it compact, and bringing back what was refused."""
