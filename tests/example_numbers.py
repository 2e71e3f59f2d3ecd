"""Write the numbers of the example in README.md from share/example/summary.csv.

To replace the example, copy results/tables/summary.csv and results/figures/io_throughput.svg of a run into
share/example, and run this program. Then read the sentences around the numbers again.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "share/example/summary.csv"
README = ROOT / "README.md"
BEGIN, END = "<!-- example: ", "<!-- end of example -->\n"
BASELINE = "pread-discard"


def main() -> None:
    before, _, after = parts(README.read_text())
    README.write_text(before + text(pd.read_csv(TABLE)) + after)


def parts(readme: str) -> tuple[str, str, str]:
    """The README up to the example's first comment, the example, and the rest from its last comment on."""
    start = readme.index("\n", readme.index(BEGIN)) + 1
    end = readme.index(END)
    return readme[:start], readme[start:end], readme[end:]


def text(summary: pd.DataFrame) -> str:
    """A table of the fastest valid configurations, and what follows from it."""
    valid = summary[summary["valid"]].sort_values("samples_per_second", ascending=False, kind="stable")
    io = valid[valid["mode"] == "io"]
    cold, warm = (io[io["cache"] == cache] for cache in ("cold", "warm"))
    readers = cold[cold["reader"] != BASELINE]
    compute = valid[valid["mode"] == "compute"]
    inference = valid[valid["mode"] == "inference"]
    rows = {
        "I/O-only, cold page cache": readers,
        "I/O-only, cold page cache, fastest with DALI": cold[cold["reader"].str.startswith("dali")],
        "read-and-discard baseline, cold": cold[cold["reader"] == BASELINE],
        "I/O-only, warm page cache": warm[warm["reader"] != BASELINE],
        "compute-only": compute,
        "end-to-end, cold page cache": inference[inference["cache"] == "cold"],
        "end-to-end, warm page cache": inference[inference["cache"] == "warm"],
    }
    lines = ["| measurement | fastest valid configuration | samples/s | 95 % interval | GB/s |", "|" + 5 * "---|"]
    lines += [_row(name, cells.iloc[0]) for name, cells in rows.items() if len(cells)]
    judged = inference[inference["bottleneck"].notna()].sort_values("cache", kind="stable")
    return "\n".join([*lines, "", *_meaning(summary, judged.iloc[0], compute.iloc[0]), ""])


def _row(name: str, cell: pd.Series) -> str:
    words = [f"`{cell[field]}`" for field in ("reader", "engine") if cell[field] != "none"]
    words += [f"{cell['ranks']} rank{'s' if cell['ranks'] > 1 else ''}", f"batch {cell['local_batch_size']}"]
    if cell["reader"] != "none":
        words.append(f"{cell['inter_threads']} x {cell['intra_threads']} threads")
    rate = "-" if cell["mode"] == "compute" else f"{cell['gigabytes_per_second']:.3g}"
    ends = " to ".join(f"{cell[f'samples_per_second_ci_{end}']:.3g}" for end in ("low", "high"))
    return f"| {name} | {', '.join(words)} | {cell['samples_per_second']:.3g} | {ends} | {rate} |"


def _meaning(summary: pd.DataFrame, inference: pd.Series, compute: pd.Series) -> list[str]:
    """The verdict of the fastest end-to-end configuration, and the storage that one device needs."""
    io, alone = inference["io_only_samples_per_second"], inference["compute_only_samples_per_second"]
    precise = summary["valid"] & (summary["relative_half_width"] <= 0.1)
    needed = 0.9 * compute["samples_per_second"] * compute["sample_bytes"] / 1e9
    meaning = {
        "compute": f"the storage delivers {io / alone:.3g} times what the CPU can process; faster storage is no help",
        "storage": f"the CPU can process {alone / io:.2g} times what the storage delivers",
        "reader": f"the CPU can process {alone / io:.2g} times what the reader delivers",
        "balanced": "storage and the CPU are equally fast",
        "overlap-limited": "reading and inference slow each other down",
        "measurement-conflict": "the machine's speed changed between the measurements, so they must be repeated",
    }
    sentences = [
        f"End-to-end reaches {inference['samples_per_second']:.3g} samples/s with a {inference['cache']} page cache.",
        f"With the same settings, I/O-only reaches {io:.3g} and compute-only {alone:.3g}.",
        f"End-to-end is {100 * inference['overlap_efficiency']:.0f} % of the lower one.",
        f"The verdict is therefore **{inference['bottleneck']}**: {meaning[inference['bottleneck']]}.",
        f"To keep one such CPU 90 % busy, storage must deliver {needed:.2g} GB/s.",
        f"{int(summary['valid'].sum())} of the {len(summary)} configurations are valid.",
        f"{int(precise.sum())} of them are precise within 10 %.",
        *_caveat(summary[summary["cache"] == "cold"]),
    ]
    return textwrap.wrap(" ".join(sentences), 120, break_on_hyphens=False)


def _caveat(cold: pd.DataFrame) -> list[str]:
    """What limits the trust in all results with a cold page cache."""
    if not cold["warnings"].str.contains("storage_local").all():
        return []
    return [
        "All results with a cold page cache have the warning `storage_local`: the disk is virtual, so its host may "
        "have a cache that is not evicted."
    ]


if __name__ == "__main__":
    main()
