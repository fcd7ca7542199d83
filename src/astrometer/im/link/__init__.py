"""The link of a messenger to AstrBot: handshake, frames, when to connect again. Sans-IO."""
