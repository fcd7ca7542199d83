"""Single exchanges that a run keeps: how a row of them is made, kept as a file, and read again."""
