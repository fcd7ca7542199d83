"""Chat events and their times -> numbers that can be trusted. No sockets, no clock of its own."""
