"""Which cluster, or which address, a device's own name leads to: plans as values, and thin IO that applies them.

The route table is the truth, the hosted zone its projection (design decision 5). Names that Pulumi owns, the pinned
devices among them, are never touched.
"""
