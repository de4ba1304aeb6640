"""The station's API: the same station as the command `issue`, for the line's own software, on loopback."""
