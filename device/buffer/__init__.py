"""The durable buffer between sampling and sending: what it was given and acknowledged, no power cut takes away."""
