"""People in a messenger: a load process's one link to AstrBot, and the users who write over it."""
