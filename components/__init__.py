"""The cloud: Pulumi components, one noun a file."""
