"""A gateway on an engineer's desk that stands in for a device's cluster for some hours, and dies by itself.

Everything in its folder is good for one device and ends with the redirect: its server certificate, whom it lets in, and
the identity it has in the cluster, by which the device's data goes on arriving while it is watched.
"""
