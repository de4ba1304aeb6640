"""The keys of the route table, which the program makes and `fleet` and the sweep function read and write.

One item is the program's own and no tool writes it: `PINS_KEY`.
"""

DEVICE_KEY = "device"
"""Partition key, a string: a device id, or `#` and what is no device."""
REVISION_KEY = "revision"
"""Sort key, a number: 0 is the route as it stands, n what the n-th change made of it."""
EXPIRY_INDEX = "expiring"
"""A sparse index: only routes as they stand that have an expiry carry its keys, so a sweep reads those alone."""
EXPIRING_KEY = "expiring"
"""Partition key of the index, a string: always `EXPIRING`. Routes that expire are few, and one partition holds them."""
EXPIRING = "yes"
EXPIRES_KEY = "expires"
"""Sort key of the index, a string: the expiry in ISO 8601, UTC, always six decimals: text order is time's order."""
PINS_KEY = "#pins"
"""The item, at revision 0, by which the program tells the sweep function which devices' names it owns itself. An item,
because 200 device ids fit neither the environment of a function (4 KB) nor the input of a schedule (8 KB)."""
PINS = "pins"
"""In that item: a list of strings, the device ids."""
