"""What Locust would measure of a server whose times are known: `astrometer calibrate`."""
