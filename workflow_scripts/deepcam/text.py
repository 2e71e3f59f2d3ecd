"""Numbers and foreign names in sentences."""


def count(number: int, noun: str) -> str:
    """A number and its noun, such as 1 rank, 2 ranks, 1,024 ranks."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def capitalized(text: str) -> str:
    """The text with a capital first letter. Others stay as they are, as in I/O-only."""
    return text[:1].upper() + text[1:]


def printable(text: str) -> str:
    """The text in one line, with escape sequences in place of characters that a terminal would act on."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
