"""Numbers in sentences, and text that others have written."""


def count(number: int, noun: str) -> str:
    """A number and its noun, such as 1 rank, 2 ranks, 1,024 ranks."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    r"""The text with an escape such as \x1b or \n for every character that a terminal obeys or does not show."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
