"""A comparison -> what people and machines read: HTML, Markdown, JSON, JUnit, the terminal."""
