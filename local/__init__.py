"""The desk: the embedded AWS, and the program applied to it. For demos and tests only."""
