"""What of a scenario stays when reports come and go: its frame, its frontage and its terrain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dronewall.engine.belt import Belt, belt_of
from dronewall.engine.earth import Site, site_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.going import check as check_going
from dronewall.engine.going import with_going
from dronewall.engine.terrain import Terrain, read
from dronewall.engine.terrain import check as check_terrain
from dronewall.scenario import Scenario

Floats = npt.NDArray[np.float64]

_FARTHEST_MARGIN = 5000.0
"""Ground is read this far around the belt [m] and no farther, however far a sensor claims to see."""

_FARTHEST_ANTENNA = 20_000.0
"""The same where radio links are looked at [m]."""


@dataclass(frozen=True)
class Ground:
    """A scenario's frame, frontage and terrain: what stays when reports come and go."""

    scenario: Scenario
    site: Site
    frontage: Frontage
    terrain: Terrain

    @cached_property
    def belt(self) -> Belt:
        """The cells of the belt."""
        return belt_of(self.frontage, self.terrain)

    @cached_property
    def belt_heights(self) -> Floats:
        """Ground heights [m AMSL] over the belt's piece of the raster (north, east), nan where unknown."""
        return self.terrain.ground_amsl[self.belt.slices].copy()

    @cached_property
    def belt_slowness(self) -> Floats | None:
        """The same of `Terrain.slowness`."""
        slowness = self.terrain.slowness
        return None if slowness is None else slowness[self.belt.slices].copy()


def check(scenario: Scenario) -> None:
    """Raises EarthError and TerrainError where `ground_of` would, as far as that needs no heights."""
    terrain = scenario.terrain
    frame = _frame(scenario)
    check_terrain(terrain.ground, *frame, terrain.surface, terrain.canopy)
    check_going(*frame, scenario.going.cost, scenario.going.impassable)


def _frame(scenario: Scenario) -> tuple[Site, Frontage]:
    site = site_of(np.array(scenario.frontage.points_deg, dtype=np.float64), scenario.site.crs)
    points = np.stack(site.to_site(*np.array(scenario.frontage.points_deg, dtype=np.float64).T), axis=-1)
    frontage = Frontage(
        points, scenario.frontage.belt_front_m, scenario.frontage.belt_behind_m, scenario.frontage.threat == "left"
    )
    return site, frontage


def ground_of(scenario: Scenario, also: Sequence[tuple[float, float]] = ()) -> Ground:
    """The frame, frontage and terrain of a scenario. also: further places (latitude, longitude [degrees]) that the
    terrain reaches to, up to 20 km around the belt. Raises EarthError and TerrainError.
    """
    site, frontage = _frame(scenario)
    terrain = read(
        scenario.terrain.ground,
        site,
        frontage,
        scenario.terrain.cell_m,
        margin=_margin(scenario, site, frontage, also),
        posting=scenario.terrain.posting_m,
        le90=scenario.terrain.le90_m,
        surface=scenario.terrain.surface,
        canopy=scenario.terrain.canopy,
        canopy_extinction=scenario.terrain.canopy_extinction_m,
    )
    terrain = with_going(terrain, site, frontage, scenario.going.cost, scenario.going.impassable)
    return Ground(scenario, site, frontage, terrain)


def _margin(scenario: Scenario, site: Site, frontage: Frontage, also: Sequence[tuple[float, float]]) -> float:
    """Metres around the belt that hold every post, where drones take off, too, and every route, as far as they can see
    into the belt, and the places of `also`.
    """
    places = [(post.latitude_deg, post.longitude_deg) for post in scenario.posts]
    places += [place for sortie in scenario.sorties for place in sortie.route_deg]
    # What flies an orbit is off its one point by the radius.
    around = [sortie.radius_m or 0.0 for sortie in scenario.sorties for _ in sortie.route_deg]
    margin = _reaching(scenario, site, frontage, places, np.array([0.0] * len(scenario.posts) + around))
    return max(
        min(margin, _FARTHEST_MARGIN),
        min(_reaching(scenario, site, frontage, also, np.zeros(len(also))), _FARTHEST_ANTENNA),
    )


def _reaching(
    scenario: Scenario, site: Site, frontage: Frontage, places: Sequence[tuple[float, float]], radius: Floats
) -> float:
    """Metres around the belt that hold places with so much around each."""
    if not places:
        return 0.0
    east, north = site.to_site(*np.array(places, dtype=np.float64).T)
    chainage, _ = frontage.locate(east, north)
    on_east, on_north = frontage.at(chainage)
    away = (np.hypot(east - on_east, north - on_north) + radius).max() - min(frontage.front, frontage.behind)
    return float(max(away + 10.0 * scenario.terrain.cell_m, 200.0))
