"""An OpenAI-compatible stub model with known timing, which obeys directives in the prompt."""
