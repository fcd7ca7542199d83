"""What a chat turn costs where nobody has measured it. Used for estimates, never for results."""

# Input and output of a short question to an AstrBot with its default persona and tools, title call included.
TOKENS_PER_TURN = 1750
