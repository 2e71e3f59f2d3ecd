"""Numbers in sentences."""


def count(number: int, noun: str) -> str:
    """A number and its noun, such as 1 rank, 2 ranks, 1,024 ranks."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
