"""Runs -> how each target is and was, layer by layer: its states, its history, pages and reports of them."""
