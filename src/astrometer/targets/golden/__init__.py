"""A server more exact than what it judges: streams on a schedule, stamped as they are really sent."""
