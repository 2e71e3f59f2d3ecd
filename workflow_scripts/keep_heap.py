"""Run one of these programs in a process that keeps the memory that it frees: python -m keep_heap PROGRAM ARGUMENT ...

glibc reads its settings when a process starts, so a program cannot set them for itself.
"""

from __future__ import annotations

import os
import sys

from deepcam import allocator, cli


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("program", help="name of the program, such as train_model")
    parser.add_argument("arguments", nargs="...", help="arguments of the program")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", arguments.program, *arguments.arguments]
    os.execve(sys.executable, command, allocator.keeping_heap(os.environ))


if __name__ == "__main__":
    cli.run(main)
