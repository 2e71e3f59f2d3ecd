"""Stands in for the launcher and the benchmark program: writes a copy of a record at once.

python stand_in.py FOLDER RANKS <the command line of a start>

FOLDER has these files: template.json, a record; `failing`, the id of the cell that fails, or nothing; started.txt and
done.txt, which get a line per start.
"""

import json
import os
import sys
from pathlib import Path

folder, ranks, *command = sys.argv[1:]
output = Path(command[command.index("--outputfile") + 1])
start = f"{output.parent.name}/{output.stem}"


def note(name: str) -> None:
    with open(f"{folder}/{name}", "a") as file:
        file.write(start + "\n")


note("started.txt")
with open(f"{folder}/failing") as file:
    if output.parent.name == file.read():
        sys.exit(f"error: {start} fails because it was told to")
with open(f"{folder}/template.json") as file:
    record = json.load(file)
mode, reader, cache, engine, *numbers = output.parent.name.split("_")
threads = numbers[2][1:].split("x")
record["cell"] |= {
    "mode": mode, "reader": reader, "cache": cache, "engine": engine, "ranks": int(ranks),
    "local_batch_size": int(numbers[1][1:]), "inter_threads": int(threads[0]), "intra_threads": int(threads[1]),
}  # fmt: skip
record["start"] = json.loads(command[command.index("--start") + 1])
output.parent.mkdir(parents=True, exist_ok=True)
part = output.with_name(output.name + ".part")
part.write_text(json.dumps(record))
os.rename(part, output)
note("done.txt")
