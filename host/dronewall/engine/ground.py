"""What of a scenario stays when reports come and go: its frame, its frontage and its terrain."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dronewall.engine.belt import Belt, belt_of
from dronewall.engine.earth import Site, site_of
from dronewall.engine.frontage import Frontage
from dronewall.engine.terrain import Terrain, read
from dronewall.engine.terrain import check as check_terrain
from dronewall.scenario import Scenario

_FARTHEST_MARGIN = 5000.0
"""Ground is read this far around the belt [m] and no farther, however far a sensor claims to see."""


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


def check(scenario: Scenario) -> None:
    """Raises EarthError and TerrainError where `ground_of` would, as far as that needs no heights."""
    terrain = scenario.terrain
    check_terrain(terrain.ground, *_frame(scenario), terrain.surface, terrain.canopy)


def _frame(scenario: Scenario) -> tuple[Site, Frontage]:
    site = site_of(np.array(scenario.frontage.points_deg, dtype=np.float64), scenario.site.crs)
    points = np.stack(site.to_site(*np.array(scenario.frontage.points_deg, dtype=np.float64).T), axis=-1)
    frontage = Frontage(
        points, scenario.frontage.belt_front_m, scenario.frontage.belt_behind_m, scenario.frontage.threat == "left"
    )
    return site, frontage


def ground_of(scenario: Scenario) -> Ground:
    """The frame, frontage and terrain of a scenario. Raises EarthError and TerrainError."""
    site, frontage = _frame(scenario)
    terrain = read(
        scenario.terrain.ground,
        site,
        frontage,
        scenario.terrain.cell_m,
        margin=_margin(scenario, site, frontage),
        posting=scenario.terrain.posting_m,
        le90=scenario.terrain.le90_m,
        surface=scenario.terrain.surface,
        canopy=scenario.terrain.canopy,
        canopy_extinction=scenario.terrain.canopy_extinction_m,
    )
    return Ground(scenario, site, frontage, terrain)


def _margin(scenario: Scenario, site: Site, frontage: Frontage) -> float:
    """Metres around the belt that hold every post and route, as far as they can see into the belt."""
    places = [(post.latitude_deg, post.longitude_deg) for post in scenario.posts]
    places += [place for drone in scenario.drones for place in drone.route_deg]
    if not places:
        return 0.0
    east, north = site.to_site(*np.array(places, dtype=np.float64).T)
    chainage, _ = frontage.locate(east, north)
    on_east, on_north = frontage.at(chainage)
    away = np.hypot(east - on_east, north - on_north).max() - min(frontage.front, frontage.behind)
    return float(min(max(away + 10.0 * scenario.terrain.cell_m, 200.0), _FARTHEST_MARGIN))
