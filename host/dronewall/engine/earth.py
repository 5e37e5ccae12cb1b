"""Where the site lies on the earth: this module alone knows latitude, longitude and the projection.

Everything inside the engine is in *site metres*: grid east and north from the site's origin, a round point of its
projected CRS. Azimuths on the wire count from true north; inside they count from grid north. The two differ by the
*convergence*.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj

RADIUS = 6_371_000.0
"""Mean radius of the earth [m]."""

OPTICAL = 0.13
"""Refraction coefficient of light near the ground; 1.0 switches the drop off."""
RADIO = 0.25
"""Refraction coefficient of radio waves: an earth of 4/3 its radius."""

_LARGEST_DISTORTION = 2e-3

Floats = npt.NDArray[np.float64]


class EarthError(ValueError):
    """The site's coordinate reference system cannot carry the site."""


def drop(distance: Any, refraction: float = OPTICAL) -> Any:
    """Metres by which the ground falls below the horizontal plane at a distance [m], refraction deducted.

    (1 - k) d^2 / 2R: 6.828 m at 10 km for light (k = 0.13), 5.886 m for radio (k = 0.25).
    """
    return (1.0 - refraction) * distance * distance / (2.0 * RADIUS)


@dataclass(frozen=True)
class Site:
    """The site's frame: a projected CRS in metres and the origin of the site metres in it."""

    crs: pyproj.CRS
    origin_east: float
    origin_north: float
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def epsg(self) -> int | None:
        """The EPSG code of the CRS, None where it has none."""
        return self.crs.to_epsg()

    @cached_property
    def _projection(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)

    @cached_property
    def _factors(self) -> pyproj.Proj:
        return pyproj.Proj(self.crs)

    def to_site(self, latitude_deg: Any, longitude_deg: Any) -> tuple[Any, Any]:
        """East and north [site m] of WGS 84 coordinates; scalars or arrays of one shape."""
        east, north = self._projection.transform(longitude_deg, latitude_deg)
        return np.subtract(east, self.origin_east)[()], np.subtract(north, self.origin_north)[()]

    def to_geodetic(self, east: Any, north: Any) -> tuple[Any, Any]:
        """WGS 84 latitude and longitude [degrees] of site metres; scalars or arrays of one shape."""
        longitude, latitude = self._projection.transform(
            np.add(east, self.origin_east), np.add(north, self.origin_north), direction="INVERSE"
        )
        return latitude, longitude

    def convergence(self, east: float, north: float) -> float:
        """Azimuth of grid north, from true north [rad]: grid azimuth = true azimuth - convergence.

        true north   grid north
                \\   /              east of the central meridian, north of the equator:
                 \\ /               positive
        """
        latitude, longitude = self.to_geodetic(east, north)
        return math.radians(float(self._factors.get_factors(longitude, latitude).meridian_convergence))

    def scale(self, east: float, north: float) -> float:
        """Grid metres per metre on the ground (1 where the projection does not distort)."""
        latitude, longitude = self.to_geodetic(east, north)
        return float(self._factors.get_factors(longitude, latitude).meridional_scale)


def direction(latitude_deg: float, longitude_deg: float, *there_deg: float) -> tuple[float, float]:
    """Azimuth from true north [rad] and distance [m] of a place `there_deg` (latitude, longitude) from another: the
    geodesic on the WGS 84 ellipsoid (C. Karney, "Algorithms for geodesics", J. Geodesy 87, 2013; PROJ's).
    """
    azimuth, _, distance = pyproj.Geod(ellps="WGS84").inv(longitude_deg, latitude_deg, there_deg[1], there_deg[0])
    return math.radians(float(azimuth)) % math.tau, float(distance)


def site_of(points_deg: Floats, crs: str | None = None) -> Site:
    """The frame for points (n, 2: latitude, longitude [degrees]): the given CRS, else the UTM zone of their middle.

    A frontage that spans two zones is carried by the zone of its middle, as long as lengths stay true to 0.2 %.
    Raises EarthError where the CRS is unknown, not projected, not in metres or distorts more than that.
    """
    points = np.asarray(points_deg, dtype=np.float64)
    # Longitudes the short way round from the first point's: 179.9 and -179.9 meet at 180, not at 0.
    around = np.column_stack((points[:, 0], (points[:, 1] - points[0, 1] + 180.0) % 360.0 - 180.0))
    latitude, longitude = (around.min(axis=0) + around.max(axis=0)) / 2.0
    longitude = (longitude + points[0, 1] + 180.0) % 360.0 - 180.0
    if crs is None:
        if not -80.0 <= latitude <= 84.0:
            raise EarthError(
                f"latitude {latitude:.3f}: UTM ends at -80 and 84 degrees; name a projected CRS in site.crs"
            )
        zone = min(int((longitude + 180.0) // 6.0) + 1, 60)
        crs = f"EPSG:{(32600 if latitude >= 0.0 else 32700) + zone}"
    try:
        parsed = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise EarthError(f"site.crs: {crs!r} is not a coordinate reference system: {error}") from None
    if not parsed.is_projected:
        raise EarthError(
            f"site.crs: {crs!r} ({parsed.name}) is not projected; expected metres east and north, such as a UTM zone"
        )
    units = {axis.unit_name for axis in parsed.axis_info[:2]}
    if units != {"metre"}:
        raise EarthError(f"site.crs: {crs!r} ({parsed.name}) counts in {' and '.join(sorted(units))}; expected metre")
    east, north = pyproj.Transformer.from_crs("EPSG:4326", parsed, always_xy=True).transform(longitude, latitude)
    if not (math.isfinite(east) and math.isfinite(north)):
        raise EarthError(
            f"site.crs: {crs!r} ({parsed.name}) does not reach latitude {latitude:.4f}, longitude {longitude:.4f}"
        )
    site = Site(parsed, math.floor(east / 1000.0) * 1000.0, math.floor(north / 1000.0) * 1000.0)
    for one_latitude, one_longitude in points:
        scale = site.scale(*site.to_site(one_latitude, one_longitude))
        if not abs(scale - 1.0) <= _LARGEST_DISTORTION:
            raise EarthError(
                f"{parsed.name} stretches lengths by {100.0 * (scale - 1.0):+.2f} % at latitude {one_latitude:.4f}, "
                f"longitude {one_longitude:.4f}; expected at most {100.0 * _LARGEST_DISTORTION:.1f} %: "
                "name a CRS that fits the site in site.crs, or cut the frontage"
            )
    return site
