"""Numbers of a results file -> SVG."""
