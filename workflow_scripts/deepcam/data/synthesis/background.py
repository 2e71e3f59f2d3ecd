"""The background of a synthetic sample: zonal means with realistic units, spectral noise, and derived channels."""

from __future__ import annotations

import numpy as np

Fields = dict[str, np.ndarray]
"""Channels by name, each (height, width) float32."""


def _noise(rng: np.random.Generator, height: int, width: int, slope: float, largest: float = 4) -> np.ndarray:
    """Return smooth periodic noise (height, width) float32 with mean 0 and standard deviation 1.

    Its amplitude falls as wavenumber ** -slope. `largest` is the wavenumber, in cycles around the globe, below which
    the spectrum is flat.
    """
    # The rows span 180 degrees and the columns 360, so vertical wavenumbers count twice.
    k_y = 2 * np.fft.fftfreq(height, 1 / height)[:, None].astype(np.float32)
    k_x = np.fft.rfftfreq(width, 1 / width)[None, :].astype(np.float32)
    amplitude = (k_x**2 + k_y**2 + np.float32(largest**2)) ** np.float32(-slope / 2)
    amplitude[0, 0] = 0
    white = rng.standard_normal((*amplitude.shape, 2), np.float32).view(np.complex64)[..., 0]
    field = np.fft.irfft2(white * amplitude, (height, width))
    return field / field.std()


def background(rng: np.random.Generator, latitude: np.ndarray, width: int) -> Fields:
    """Return the fields before events: zonal means plus noise, in kg/m2, m/s, Pa, K and m. PS is still in metres."""
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

    # The winds are the curl of a stream function, so they circle its highs and lows and do not converge.
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
    # Geostrophic balance: pressure follows the stream function with the sign of the Coriolis parameter.
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
    fields["PS"] = terrain  # metres until `derive` turns it into pressure
    return {name: np.asarray(field, np.float32) for name, field in fields.items()}


def derive(fields: Fields, rng: np.random.Generator) -> None:
    """Split the rain into showers, limit rain and moisture, and compute the channels that depend on others, in place.

    These are PS, Z1000, ZBOT, and QREFHT at 80 % relative humidity.
    """
    showers = np.exp(0.8 * _noise(rng, *fields["PRECT"].shape, 1.3, largest=40))
    fields["PRECT"] = np.minimum(fields["PRECT"] * showers, 3e-6)  # 11 mm an hour
    fields["TMQ"] = np.clip(fields["TMQ"], 0.1, 90)
    fields["PS"] = fields["PSL"] * np.exp(-fields["PS"] / 8000)  # scale height 8 km
    fields["Z1000"] = (fields["PSL"] - 100000) / (1.2 * 9.81)
    fields["ZBOT"] = 0.22 * fields["TREFHT"]  # the middle of the lowest layer, about 60 m
    celsius = fields["TREFHT"] - 273.15
    saturation = 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))  # Bolton 1980, equation 10
    fields["QREFHT"] = 0.8 * 0.622 * saturation / fields["PS"]
