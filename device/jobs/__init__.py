"""Jobs: what the fleet's operators ask of a device, each carried out once, whatever happens meanwhile."""
