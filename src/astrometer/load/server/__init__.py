"""The process of the server that is loaded, where it runs on this machine: found, read, watched."""
