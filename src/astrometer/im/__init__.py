"""The messenger's contract (OneBot v11) and one question-and-reply of it, sans-IO."""
