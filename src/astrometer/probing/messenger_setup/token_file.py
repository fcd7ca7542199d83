"""The token of an adapter -> a file that only its owner may read; made once, never written over."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from astrometer.config.secret import Secret
from astrometer.input_files import read_text
from astrometer.user_error import UserError

DEFAULT_NAME = "astrbot_messenger_token"


def new_token() -> Secret:
    return Secret(secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One file, which need not exist."""

    path: Path

    def read(self) -> Secret | None:
        """None when there is none. Raises UserError."""
        try:
            text = read_text(self.path).strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise UserError(f"{self.path}: cannot be read ({type(exc).__name__})") from None
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise UserError(f"{self.path}: not a token (empty, or with blanks or non-ASCII letters)")
        return Secret(text)

    def write(self, token: Secret) -> None:
        """Raises UserError; an existing file stays as it is."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(f"{token.reveal()}\n")
        except OSError as exc:
            raise UserError(f"{self.path}: cannot be written ({exc.strerror})") from None

    def remove(self) -> None:
        """Raises UserError."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as exc:
            raise UserError(f"{self.path}: cannot be removed ({exc.strerror})") from None
