"""What several commands share: options, plans, what is printed. No command is here."""
