"""A protocol-faithful AstrBot stand-in, 4.18 to 4.29, with known timing and faults on demand."""
