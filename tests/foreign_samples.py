"""Write HDF5 samples in the archive's layout as other tools might, without a line of this project's code.

    python tests/foreign_samples.py FOLDER

The files are stored in different ways that HDF5 allows. Values have the units and sizes of a climate model's, and every
sample has all three classes. tests/fresh_machine.sh runs the benchmark on them.
"""

import sys
from pathlib import Path

import h5py
import numpy as np

SAMPLES, HEIGHT, WIDTH = 8, 768, 1152
LATITUDE = np.linspace(-90, 90, HEIGHT)[:, None]
LONGITUDE = np.linspace(0, 360, WIDTH, endpoint=False)[None, :]

# Options of h5py's create_dataset for the data, and for both planes of labels.
WAYS = (
    ({"dtype": "<f4"}, {"dtype": "<f4"}),  # contiguous
    ({"dtype": "<f4", "chunks": (96, 144, 16), "compression": "gzip"}, {"dtype": "u1", "compression": "gzip"}),
    ({"dtype": ">f4"}, {"dtype": "<i8"}),
    ({"dtype": "<f4", "chunks": (1, WIDTH, 16), "fletcher32": True}, {"dtype": ">i2", "chunks": (1, WIDTH)}),
)


def bell(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


def waves(values: np.random.Generator) -> np.ndarray:
    """A smooth field (HEIGHT, WIDTH) with mean 0 and standard deviation 1."""
    field = np.zeros((HEIGHT, WIDTH))
    for north, east in values.integers(1, 14, (16, 2)):
        phase = np.radians(north * 2 * LATITUDE + east * LONGITUDE) + values.uniform(0, 2 * np.pi)
        field += np.sin(phase) * np.sqrt(2 / 16)
    return field


def weather(values: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """All channels (HEIGHT, WIDTH, 16) in the archive's order and units, and two planes of labels."""
    moist, storm, meridional, warm = (waves(values) for _ in range(4))
    tropics, westerlies = bell(LATITUDE, 24), bell(np.abs(LATITUDE) - 47, 17)
    tmq = (7 + 42 * tropics) * np.exp(0.2 * moist)
    u, v = 12 * westerlies - 6 * bell(LATITUDE, 16) + 4 * storm, 4 * meridional
    psl = 101200 + 900 * bell(np.abs(LATITUDE) - 31, 12) - 1700 * bell(np.abs(LATITUDE) - 63, 11) + 300 * storm
    rain = 2e-8 * np.exp(moist) * (0.3 + tropics)
    surface = 301 - 50 * np.sin(np.radians(LATITUDE)) ** 2 + 2 * warm
    labels = [np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))]
    for _ in range(6):  # atmospheric rivers
        side, length = values.choice([-1, 1]), values.uniform(35, 65)
        east = (LONGITUDE - values.uniform(0, 360)) % 360 / length
        across = side * LATITUDE - values.uniform(20, 30) - values.uniform(12, 26) * east
        band = bell(across, 2.6) * np.where(east < 1, np.sin(np.pi * np.clip(east, 0, 1)) ** 0.5, 0)
        tmq, u, v, rain = tmq + 20 * band, u + 17 * band, v + 8 * side * band, rain + 1.2e-7 * band
        for plane, limit in zip(labels, (0.5, 0.6), strict=True):
            plane[band > limit] = 2
    for _ in range(5):  # tropical cyclones
        side, radius = values.choice([-1, 1]), values.uniform(2.2, 4)
        north = LATITUDE - side * values.uniform(9, 26)
        east = ((LONGITUDE - values.uniform(0, 360) + 180) % 360 - 180) * np.cos(np.radians(LATITUDE))
        distance = np.hypot(north, east) / radius
        core, swirl = bell(distance, 1), side * values.uniform(35, 60) * np.exp(1 - distance) / radius
        tmq, psl, rain = tmq + 24 * core, psl - 4000 * core, rain + 5e-7 * core
        u, v = u - swirl * north, v + swirl * east
        for plane, limit in zip(labels, (1, 0.9), strict=True):
            plane[distance < limit] = 1
    heights = [120 + 0.08 * (psl - 101200), 11900 - 900 * np.abs(np.sin(np.radians(LATITUDE))) + 40 * warm]
    upper = [218 - 8 * tropics + warm, 268 - 30 * np.sin(np.radians(LATITUDE)) ** 2 + 2 * warm]
    channels = [tmq, u, v, 0.7 * u, 0.7 * v, 3.2e-4 * tmq, psl - 500, psl, *upper, rain]
    channels += [surface, surface - 1, *heights, 60 + 0.1 * surface]
    return np.stack([np.broadcast_to(channel, (HEIGHT, WIDTH)) for channel in channels], axis=-1), labels


def write(path: Path, number: int) -> None:
    """Write the sample of this number, stored in one of the WAYS."""
    data, labels = weather(np.random.default_rng(number))
    for_data, for_labels = WAYS[number % len(WAYS)]
    with h5py.File(path, "w") as file:
        file.create_dataset("climate/data", data=data, **for_data)
        for name, plane in zip(("labels_0", "labels_1"), labels, strict=True):
            file.create_dataset(f"climate/{name}", data=plane, **for_labels)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for number in range(SAMPLES):
        write(folder / f"data-2007-0{number + 1}-17-0{number}-{number % 3}.h5", number)


if __name__ == "__main__":
    main()
