"""What a user can mend: an option, a setting, a file. Every command ends with 2 and its text."""


class UserError(ValueError):
    """The text names the place, and the cure."""
