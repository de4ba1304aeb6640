"""The line check: the new identity makes a real connection before its board leaves the station."""
