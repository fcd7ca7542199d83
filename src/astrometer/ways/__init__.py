"""The ways to chat with one AstrBot, searched in turn -> the capacity of each, beside that of the first."""
