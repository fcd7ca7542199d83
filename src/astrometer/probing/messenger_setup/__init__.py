"""`astrometer messenger`: an adapter, a profile and a route of its own on an AstrBot, made and taken away."""
