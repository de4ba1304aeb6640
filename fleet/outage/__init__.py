"""What an outage does to a fleet, computed: arrivals a second against a quota, time to recover, messages lost.

Pure but for the picture; no device, no connection, no cloud. Times are seconds from the moment the cluster is lost, as
numpy arrays of one entry a device; randomness is a seeded `numpy.random.Generator`.
"""
