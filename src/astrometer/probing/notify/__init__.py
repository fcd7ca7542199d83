"""Changes of state -> messages to the receivers of `[[notify]]`, each incident once."""
