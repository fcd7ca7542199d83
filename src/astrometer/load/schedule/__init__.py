"""When users and arrivals begin: profiles, shapes, and the open model."""
