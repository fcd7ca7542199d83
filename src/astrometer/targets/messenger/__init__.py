"""A messenger at the end of AstrBot's IM pushes, which notes what arrives and when."""
