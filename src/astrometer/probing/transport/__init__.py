"""Requests under asyncio -> chunks with the time at which the kernel received each."""
