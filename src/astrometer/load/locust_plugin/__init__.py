"""All that touches Locust's inside: its listeners, arguments, workers, web UI, and patches."""
