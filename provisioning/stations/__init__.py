"""Stations: the key made in the station's own HSM, certified by its line's authority, taken back when it is lost."""
