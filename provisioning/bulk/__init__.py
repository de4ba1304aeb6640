"""Many devices from one file: checked whole, issued in parts, killed and resumed anywhere (docs/bulk.md)."""
