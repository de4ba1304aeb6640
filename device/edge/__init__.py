"""What a device makes of its samples before it stores them, chosen channel by channel."""
