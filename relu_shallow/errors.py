"""The one family of exceptions a user can meet; the command line turns each into one sentence on stderr."""

LONGEST_WORD, LONGEST_LINE = 300, 1200  # characters; a name in a file may have millions


def printable(message: str) -> str:
    """A message on one line of bearable length, control characters that came from names in a file replaced."""
    words = [word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..." for word in message.split()]
    line = " ".join(words)
    line = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in line)


class ReluShallowError(Exception):
    """Something the user can mend: the message says what was given, what was expected and what to do next."""


class UsageError(ReluShallowError):
    """An argument of a call that is out of its range or of another kind; the command line refuses these by itself."""


class ModelError(ReluShallowError):
    """A model file that cannot be read safely, or a layer that has no linear regions."""


class DomainError(ReluShallowError):
    """A domain that is empty, of the wrong dimension, or not understood."""


class DataError(ReluShallowError):
    """A data table that is missing columns, holds text or NaN, or cannot be read."""


class FormatError(ReluShallowError):
    """A converted file that is damaged, of another format version, or not one of ours."""


class OutputError(ReluShallowError):
    """An output that cannot be written, or a form that cannot be made from what is there."""


class EngineError(ReluShallowError):
    """A cluster that does not answer, does not fit this installation, or loses its workers."""


class MissingExtra(ReluShallowError):  # noqa: N818
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed. "
            f"Install it with: pip install 'relu-shallow[{extra}]'"
        )
