"""The Locust side: the only package that imports locust or gevent."""
