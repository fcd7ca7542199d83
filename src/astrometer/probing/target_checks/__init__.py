"""A target -> what it is and allows, asked once outside the schedule: preflight, doctor, keys, sessions."""
