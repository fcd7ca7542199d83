"""Requests under gevent -> chunks with the time at which the kernel received each."""
