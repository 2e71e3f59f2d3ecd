"""Synthetic cyclones, atmospheric rivers and look-alikes: how they are drawn, and how they change the fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepcam.data.synthesis.background import Fields

CYCLONE_CLASS, RIVER_CLASS = 1, 2


@dataclass(frozen=True)
class Vortex:
    """A tropical cyclone, or an unlabelled look-alike.

    The centre and the radius of the core are in degrees, the peak wind in m/s, the moisture at the centre in kg/m2.
    """

    latitude: float
    longitude: float
    radius: float
    wind: float
    moisture: float
    labelled: bool = True


@dataclass(frozen=True)
class Band:
    """An atmospheric river, or an unlabelled look-alike. It starts at its tropical end and runs poleward and eastward.

    Lengths are in degrees, the wind along the axis in m/s, the moisture at the axis in kg/m2. `meander` holds the
    amplitudes in degrees of 2 and 3 waves along the axis, `phase` their phases in radians.
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


def random_events(rng: np.random.Generator) -> tuple[list[Band], list[Vortex]]:
    """Draw the bands and vortices of one sample, labelled and unlabelled, in the order in which they are planted."""
    rivers = [
        _random_band(rng, wind=rng.uniform(6, 24), moisture=rng.uniform(7, 26)) for _ in range(rng.integers(4, 8))
    ]
    # Unlabelled: moist air that does not move along its band, and jets of dry air.
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
    # A cyclone is often found at the start of a river, which it feeds.
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
    # Unlabelled: thunderstorm clusters without wind, tropical depressions, and mid-latitude lows.
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
    # Labelled events come last, so that no other hides them.
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
    """Return the open-mesh index, the latitudes (rows, 1) and the degrees east of `west` (columns,) of a box.

    The box may cross 0 degrees east.
    """
    rows = np.flatnonzero((latitude >= south) & (latitude <= north))
    eastward = (longitude - west) % 360
    columns = np.flatnonzero(eastward <= east - west)
    return np.ix_(rows, columns), latitude[rows][:, None], eastward[columns]


def plant_vortex(
    fields: Fields,
    labels: np.ndarray,
    storm: Vortex,
    latitude: np.ndarray,
    longitude: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Add a warm, moist, low-pressure vortex with rain to the fields, in place, and label its core."""
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
    # A Holland-like wind profile: calm in the eye, strongest at ratio 1, decaying slowly to zero at the window's edge.
    edge = np.clip(1 - distance / reach, 0, 1)
    swirl = storm.wind * ratio * np.exp(1 - ratio) * edge + 0.25 * storm.wind * np.exp(-(((ratio - 2) / 2) ** 2)) * edge
    # Winds turn counter-clockwise in the north, clockwise in the south.
    turn = np.sign(storm.latitude) / np.maximum(distance, 1e-3)
    core = np.exp(-((distance / storm.radius) ** 2))
    fields["U850"][box] -= swirl * turn * dy
    fields["V850"][box] += swirl * turn * dx
    # Friction slows the lowest level and turns it inward.
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
    # On a coarse grid the core may fall between points, so the nearest point is always labelled.
    nearest = np.unravel_index(distance.argmin(), distance.shape)
    labels[:, box[0][nearest[0], 0], box[1][0, nearest[1]]] = CYCLONE_CLASS


def plant_band(
    fields: Fields,
    labels: np.ndarray,
    band: Band,
    latitude: np.ndarray,
    longitude: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Add a long, narrow, winding band of moisture, wind and rain to the fields, in place, and label it.

    It may cross 0 degrees east.
    """
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
    # The distance is measured across the band, not along the meridian, so that a steep band is not narrower.
    across = (band.hemisphere * rows - centre) / np.hypot(1, slope)
    taper = np.clip(5 * along, 0, 1) * np.clip(5 * (1 - along), 0, 1)
    profile = np.sqrt(taper) * np.exp(-0.5 * (across / band.width) ** 2)
    # The strength varies along the band; its label does not.
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
