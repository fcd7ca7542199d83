"""What probes made on a server -> deleted, or remembered until it can be."""
