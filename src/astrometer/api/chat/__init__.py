"""A chat over HTTP or WebSocket: its events, its times, its outcome. No sockets, no clock."""
