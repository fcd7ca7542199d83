"""A run that goes on -> the progress line, the Streams tab and `/metrics` of the load process."""
