"""A chat from its request to the end of its stream."""
