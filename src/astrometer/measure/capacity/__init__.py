"""Windows of a search -> the load to measure next, and the capacity with its interval. Pure."""
