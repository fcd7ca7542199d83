"""Objectives, and the verdict of a run; `validity`: why it is INVALID. Pure."""
