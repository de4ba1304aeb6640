"""The registry of AWS IoT in one region, told ahead of a device's first connect; just in time is the normal way."""
