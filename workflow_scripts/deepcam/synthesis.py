"""Synthetic CAM5-like samples: physically inspired fields with planted, labelled cyclones and rivers.

Not a climate model: zonal means with realistic units, spectral noise, and events whose moisture, winds, pressure and
rain agree with their labels. It stands in for the archive where that cannot be reached. Events vary in strength, meet
and cross the border at 0 degrees east; structures that share some of their signs but are neither cyclone nor river lie
among them, so that no threshold on one channel finds the labels.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from deepcam import manifest
from deepcam.climate import CHANNELS, DATA, LABELS, InputError
from deepcam.files import atomic_path

log = logging.getLogger(__name__)

VERSION = 2
"""Raise it when `sample` gives other numbers for the same seed: files of an older version are then made again."""

CYCLONE_CLASS, RIVER_CLASS = 1, 2

Fields = dict[str, np.ndarray]


ALL_CHANNELS = tuple(range(len(CHANNELS)))

BLOCK_ROWS = 8
"""Rows whose channels are interleaved at a time: at full size 590 kB, which stay in a core's cache."""


@dataclass(frozen=True)
class Vortex:
    """A tropical cyclone, or what looks like one and is not labelled.

    Centre in degrees, radius of the labelled core in degrees, peak wind in m/s, moisture at its centre in kg/m2.
    """

    latitude: float
    longitude: float
    radius: float
    wind: float
    moisture: float
    labelled: bool = True


@dataclass(frozen=True)
class Band:
    """An atmospheric river from its tropical end poleward and eastward, or what looks like one and is not labelled.

    Lengths in degrees; wind along it in m/s and moisture in kg/m2 at its axis. `meander` is how far the axis strays, in
    degrees, for 2 and 3 waves along it, and `phase` where they begin.
    """

    hemisphere: int
    latitude: float
    longitude: float
    length: float
    rise: float
    bend: float
    meander: tuple[float, float]
    phase: tuple[float, float]
    width: float
    wind: float
    moisture: float
    labelled: bool = True


def sample_seed(seed: int, line: int) -> int:
    """The seed of one sample from the data set's seed and the sample's line in the index, below 2**63."""
    return int(np.random.SeedSequence([seed, line]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def sample(
    seed: int, height: int, width: int, channels: Sequence[int] = ALL_CHANNELS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One sample: data (height, width, channels) float32, and two label planes (height, width) float32.

    Rows run from south to north, columns from 0 to 360 degrees east. Labels hold the class ids 0, 1, 2; the planes are
    two annotators' views of the same events, who draw each a little wider or narrower. The same seed and shape give
    the same sample.
    """
    rng = np.random.default_rng(seed)
    latitude = ((np.arange(height) + 0.5) * 180 / height - 90).astype(np.float32)
    longitude = ((np.arange(width) + 0.5) * 360 / width).astype(np.float32)
    fields = _background(rng, latitude, width)
    labels = np.zeros((2, height, width), np.float32)
    bands, vortices = _random_events(rng)
    # Bands first: where the two meet, the cyclone keeps its label.
    for band in bands:
        _plant_band(fields, labels, band, latitude, longitude, rng)
    for vortex in vortices:
        _plant_vortex(fields, labels, vortex, latitude, longitude, rng)
    _derive(fields, rng)
    data = np.empty((height, width, len(channels)), np.float32)
    for top in range(0, height, BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        for place, channel in enumerate(channels):
            data[rows, :, place] = fields[CHANNELS[channel]][rows]
    return data, labels[0], labels[1]


def write_sample(path: Path | str, seed: int, height: int, width: int) -> None:
    """Write one sample as HDF5 in the archive's layout (contiguous, unfiltered), atomically.

    The attributes seed, height, width and version say what the file holds, see `is_sample`.
    """
    data, *labels = sample(seed, height, width)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(_attributes(seed, height, width))
        file.create_dataset(DATA, data=data)
        for name, plane in zip(LABELS, labels, strict=True):
            file.create_dataset(name, data=plane)


def is_sample(path: Path, seed: int, height: int, width: int) -> bool:
    """Whether the file at `path` is there, whole, and what `write_sample` would write."""
    try:
        with h5py.File(path) as file:
            return dict(file.attrs) == _attributes(seed, height, width)
    except OSError:  # missing, truncated, or not HDF5: it is made again
        return False


def synthesize_shard(
    names: list[str], first_line: int, output_dir: Path, *, seed: int, height: int, width: int, processes: int
) -> None:
    """Make the samples of one shard and then its manifest; what is already right is kept.

    `first_line` is the place of the shard's first name in the whole index: a sample does not depend on the sharding.
    Raises InputError for a shape too small to hold the events, or less than one process.
    """
    if min(height, width) < 32:
        raise InputError(f"sample shape {height} x {width}: too small for the events: use at least 32 x 32")
    if processes < 1:
        raise InputError(f"--processes {processes}: must be at least 1")
    with manifest.filling(output_dir, names):
        jobs = [(output_dir / name, sample_seed(seed, first_line + i), height, width) for i, name in enumerate(names)]
        missing = [job for job in jobs if not is_sample(*job)]
        # spawn: a forked child inherits locks that other threads of the parent may hold.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(write_sample, *zip(*missing, strict=True)))
        manifest.write(output_dir / manifest.MANIFEST, [manifest.entry(output_dir / name) for name in names])
    log.info("%s: made %d of %d samples", output_dir, len(missing), len(names))


def _attributes(seed: int, height: int, width: int) -> dict[str, int]:
    return {"seed": seed, "height": height, "width": width, "version": VERSION}


def _noise(rng: np.random.Generator, height: int, width: int, slope: float, largest: float = 4) -> np.ndarray:
    """Smooth noise (height, width) float32, mean 0, deviation 1, periodic: amplitude falls as wavenumber**-slope.

    `largest` is the wavenumber (cycles around the globe) below which the spectrum is flat.
    """
    # A degree is as long in both directions: the rows span 180 degrees, the columns 360.
    k_y = 2 * np.fft.fftfreq(height, 1 / height)[:, None].astype(np.float32)
    k_x = np.fft.rfftfreq(width, 1 / width)[None, :].astype(np.float32)
    amplitude = (k_x**2 + k_y**2 + np.float32(largest**2)) ** np.float32(-slope / 2)
    amplitude[0, 0] = 0
    white = rng.standard_normal((*amplitude.shape, 2), np.float32).view(np.complex64)[..., 0]
    field = np.fft.irfft2(white * amplitude, (height, width))
    return field / field.std()


def _background(rng: np.random.Generator, latitude: np.ndarray, width: int) -> Fields:
    """Zonal means plus noise, before events. Units: kg/m2, m/s, Pa, K, m."""
    height = len(latitude)
    phi = latitude[:, None]
    distance = np.abs(phi)
    polar = np.sin(np.radians(phi)) ** 2
    storm_track = np.exp(-(((distance - 48) / 18) ** 2))

    moisture = _noise(rng, height, width, 1.9)
    warmth = _noise(rng, height, width, 2.6)
    stream = _noise(rng, height, width, 3.0)
    upper = _noise(rng, height, width, 3.0)
    gusts = _noise(rng, height, width, 1.5, largest=12)
    terrain = 2200 * np.maximum(_noise(rng, height, width, 2.6) - 0.9, 0)

    # Winds follow the stream function, so they turn around its highs and lows and do not converge.
    eddy_u = -np.gradient(stream, axis=0)
    eddy_v = (np.roll(stream, -1, axis=1) - np.roll(stream, 1, axis=1)) / 2
    speed = (4 + 5 * storm_track) / np.hypot(eddy_u, eddy_v).std()
    trades = np.exp(-(((distance - 12) / 10) ** 2))

    fields: Fields = {}
    fields["TMQ"] = (6 + 40 * np.exp(-(((phi - 4) / 21) ** 2)) + 8 * storm_track) * np.exp(0.22 * moisture)
    fields["U850"] = 11 * storm_track - 7 * trades + speed * eddy_u + 2 * gusts
    fields["V850"] = -1.5 * np.sign(phi) * trades + speed * eddy_v - 2 * gusts
    fields["UBOT"] = 0.65 * fields["U850"] + gusts
    fields["VBOT"] = 0.65 * fields["V850"] - gusts
    # Geostrophy: the pressure follows the stream function with the sign of the Coriolis parameter.
    fields["PSL"] = (
        101000
        + 1000 * np.exp(-(((distance - 31) / 12) ** 2))
        - 1800 * np.exp(-(((distance - 63) / 11) ** 2))
        + 900 * np.sin(np.radians(phi)) * stream
    )
    fields["TS"] = 301.5 - 52 * polar + (1 + 4 * polar) * warmth - 0.0045 * terrain
    fields["TREFHT"] = fields["TS"] - 1.0 + 0.4 * gusts
    fields["T500"] = 268.5 - 34 * polar + (0.8 + 2.5 * polar) * warmth
    fields["T200"] = 220.5 - 5 * polar + 1.8 * upper
    fields["Z200"] = 12400 - 1350 * polar + 90 * upper * np.sqrt(polar)
    wet = 0.25 + np.exp(-(((phi - 6) / 7) ** 2)) + 0.5 * storm_track
    fields["PRECT"] = 2.5e-8 * wet * np.exp(0.7 * moisture)
    fields["PS"] = terrain  # metres until `_derive` turns it into pressure
    return {name: np.asarray(field, np.float32) for name, field in fields.items()}


def _derive(fields: Fields, rng: np.random.Generator) -> None:
    """Break the rain up into showers, bound rain and moisture, and fill the channels that follow from others.

    These are PS, Z1000, ZBOT, and QREFHT at 80 % relative humidity.
    """
    showers = np.exp(0.8 * _noise(rng, *fields["PRECT"].shape, 1.3, largest=40))
    fields["PRECT"] = np.minimum(fields["PRECT"] * showers, 3e-6)  # 11 mm an hour
    fields["TMQ"] = np.clip(fields["TMQ"], 0.1, 90)
    fields["PS"] = fields["PSL"] * np.exp(-fields["PS"] / 8000)  # scale height 8 km
    fields["Z1000"] = (fields["PSL"] - 100000) / (1.2 * 9.81)
    fields["ZBOT"] = 0.22 * fields["TREFHT"]  # the lowest layer's middle, about 60 m
    celsius = fields["TREFHT"] - 273.15
    saturation = 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))  # Bolton 1980, equation 10
    fields["QREFHT"] = 0.8 * 0.622 * saturation / fields["PS"]


def _random_events(rng: np.random.Generator) -> tuple[list[Band], list[Vortex]]:
    """Rivers and cyclones, and among them what only looks like them."""
    rivers = [
        _random_band(rng, wind=rng.uniform(6, 24), moisture=rng.uniform(7, 26)) for _ in range(rng.integers(4, 8))
    ]
    # Moist air that does not move along its band, and a jet of dry air.
    plumes = [
        _random_band(rng, wind=rng.uniform(-3, 2), moisture=rng.uniform(9, 24), labelled=False)
        for _ in range(rng.integers(1, 4))
    ]
    jets = [
        _random_band(rng, wind=rng.uniform(10, 24), moisture=rng.uniform(-3, 1), labelled=False)
        for _ in range(rng.integers(1, 3))
    ]
    cyclones = [
        _random_vortex(rng, (7, 28), wind=rng.uniform(19, 58), moisture=rng.uniform(10, 32))
        for _ in range(rng.integers(2, 6))
    ]
    # A cyclone often sits where a river begins and feeds it.
    river = rivers[0]
    cyclones.append(
        Vortex(
            river.hemisphere * rng.uniform(18, 27),
            river.longitude + rng.uniform(0, 12),
            rng.uniform(2.2, 4.0),
            rng.uniform(19, 50),
            rng.uniform(10, 30),
        )
    )
    # Clusters of thunderstorms without a wind of their own, tropical depressions, and lows of the middle latitudes.
    clusters = [
        _random_vortex(rng, (2, 25), wind=0, moisture=rng.uniform(10, 30), labelled=False)
        for _ in range(rng.integers(3, 8))
    ]
    depressions = [
        _random_vortex(rng, (7, 28), wind=rng.uniform(5, 14), moisture=rng.uniform(8, 22), labelled=False)
        for _ in range(rng.integers(1, 4))
    ]
    lows = [
        _random_vortex(rng, (36, 66), wind=rng.uniform(18, 38), moisture=rng.uniform(0, 8), labelled=False)
        for _ in range(rng.integers(2, 6))
    ]
    # The labelled ones last, so that none is hidden.
    return plumes + jets + rivers, clusters + depressions + lows + cyclones


def _random_vortex(
    rng: np.random.Generator, latitudes: tuple[float, float], wind: float, moisture: float, labelled: bool = True
) -> Vortex:
    hemisphere = 1 if rng.random() < 0.7 else -1
    return Vortex(
        hemisphere * rng.uniform(*latitudes), rng.uniform(0, 360), rng.uniform(2.0, 4.2), wind, moisture, labelled
    )


def _random_band(rng: np.random.Generator, wind: float, moisture: float, labelled: bool = True) -> Band:
    return Band(
        hemisphere=1 if rng.random() < 0.5 else -1,
        latitude=rng.uniform(18, 32),
        longitude=rng.uniform(0, 360),
        length=rng.uniform(28, 68),
        rise=rng.uniform(8, 28),
        bend=rng.uniform(-5, 6),
        meander=(rng.uniform(0, 1.6), rng.uniform(0, 0.9)),
        phase=(rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)),
        width=rng.uniform(1.4, 2.4),
        wind=wind,
        moisture=moisture,
        labelled=labelled,
    )


def _window(
    latitude: np.ndarray, longitude: np.ndarray, south: float, north: float, west: float, east: float
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Open-mesh index, latitudes (rows, 1) and degrees east of `west` (columns,) of a box that may cross 0 east."""
    rows = np.flatnonzero((latitude >= south) & (latitude <= north))
    eastward = (longitude - west) % 360
    columns = np.flatnonzero(eastward <= east - west)
    return np.ix_(rows, columns), latitude[rows][:, None], eastward[columns]


def _plant_vortex(
    fields: Fields,
    labels: np.ndarray,
    storm: Vortex,
    latitude: np.ndarray,
    longitude: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Add a warm, moist, low-pressure vortex with rain, and label its core."""
    reach = 4 * storm.radius
    shrink = np.cos(np.radians(storm.latitude))
    half = reach / shrink
    box, rows, eastward = _window(
        latitude,
        longitude,
        storm.latitude - reach,
        storm.latitude + reach,
        storm.longitude - half,
        storm.longitude + half,
    )
    dy = rows - storm.latitude
    dx = (eastward - half) * shrink
    distance = np.hypot(dx, dy)
    ratio = distance / (0.45 * storm.radius)
    # Holland-like profile: still in the eye, strongest at ratio 1, slow decay outside; zero at the window's edge.
    edge = np.clip(1 - distance / reach, 0, 1)
    swirl = storm.wind * ratio * np.exp(1 - ratio) * edge + 0.25 * storm.wind * np.exp(-(((ratio - 2) / 2) ** 2)) * edge
    # Winds turn counter-clockwise in the north, clockwise in the south.
    turn = np.sign(storm.latitude) / np.maximum(distance, 1e-3)
    core = np.exp(-((distance / storm.radius) ** 2))
    fields["U850"][box] -= swirl * turn * dy
    fields["V850"][box] += swirl * turn * dx
    # Friction: the lowest level is slower and flows inward.
    fields["UBOT"][box] += -0.7 * swirl * turn * dy - 0.15 * swirl * dx / np.maximum(distance, 1e-3)
    fields["VBOT"][box] += 0.7 * swirl * turn * dx - 0.15 * swirl * dy / np.maximum(distance, 1e-3)
    fields["PSL"][box] -= 1.6 * storm.wind**2 * np.exp(-ratio / 1.5) * edge
    fields["TMQ"][box] += storm.moisture * core
    fields["PRECT"][box] += 2.2e-8 * storm.moisture * core
    fields["T200"][box] += 0.07 * storm.wind * core
    fields["T500"][box] += 0.08 * storm.wind * core
    fields["Z200"][box] += 1.2 * storm.wind * core
    if not storm.labelled:
        return
    for plane, scale in zip(labels, rng.uniform(0.92, 1.08, 2), strict=True):
        plane[box] = np.where(distance <= storm.radius * scale, CYCLONE_CLASS, plane[box])
    # On a coarse grid the core may fall between points; the nearest one is then the cyclone.
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    labels[:, box[0][nearest[0], 0], box[1][0, nearest[1]]] = CYCLONE_CLASS


def _plant_band(
    fields: Fields,
    labels: np.ndarray,
    band: Band,
    latitude: np.ndarray,
    longitude: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Add a long, narrow, winding band of moisture, wind along it and rain, and label it. It may cross the border."""
    far = band.latitude + band.rise + 15
    near = band.latitude - 15
    south, north = (near, far) if band.hemisphere > 0 else (-far, -near)
    box, rows, eastward = _window(latitude, longitude, south, north, band.longitude, band.longitude + band.length)
    along = eastward / band.length
    centre = band.latitude + band.rise * along**1.3 + band.bend * np.sin(np.pi * along)
    slope = band.rise * 1.3 * along**0.3 + band.bend * np.pi * np.cos(np.pi * along)
    for waves, size, phase in zip((2, 3), band.meander, band.phase, strict=True):
        angle = 2 * np.pi * waves * along + phase
        centre = centre + size * np.sin(angle)
        slope = slope + size * 2 * np.pi * waves * np.cos(angle)
    slope = slope / band.length
    # The distance across the band, not along the meridian, keeps its width where it climbs.
    across = (band.hemisphere * rows - centre) / np.hypot(1, slope)
    taper = np.clip(5 * along, 0, 1) * np.clip(5 * (1 - along), 0, 1)
    profile = np.sqrt(taper) * np.exp(-0.5 * (across / band.width) ** 2)
    # Stronger and weaker stretches along it, which its label does not follow.
    stretches = profile * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(1, 4) * along + rng.uniform(0, 2 * np.pi)))
    wind = band.wind * stretches / np.hypot(1, slope)
    moisture = band.moisture * stretches
    fields["U850"][box] += wind
    fields["V850"][box] += band.hemisphere * slope * wind
    fields["UBOT"][box] += 0.5 * wind
    fields["VBOT"][box] += 0.5 * band.hemisphere * slope * wind
    fields["TMQ"][box] += moisture
    fields["PRECT"][box] += 6e-9 * np.maximum(moisture, 0)
    fields["TREFHT"][box] += 0.07 * moisture
    fields["T500"][box] += 0.07 * moisture
    fields["PSL"][box] -= 15 * wind
    if not band.labelled:
        return
    for plane, threshold in zip(labels, rng.uniform(0.42, 0.58, 2), strict=True):
        plane[box] = np.where(profile > threshold, RIVER_CLASS, plane[box])
