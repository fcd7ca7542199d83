"""Many runs in a row, by time or by version: what each measured, and where the level changed."""
