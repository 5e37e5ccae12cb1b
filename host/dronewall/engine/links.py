"""Which of a site's radio links reach, by what margin, what is in the way of the others, and what would help.

A site file has three kinds of link to an access point: of its nodes, of its gateways, and of other access points
(`via`). A node's antenna stands as high as its sensors (`mast_m`).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from dronewall.engine.ground import Ground
from dronewall.engine.radio import CANOPY_DB_PER_M, RATES, Path, path_over, section_of
from dronewall.scenario import AccessPoint, Scenario

Verdict = Literal["reaches", "marginal", "cannot reach", "unknown"]
Kind = Literal["node", "gateway", "access point"]

HIGHEST_ANTENNA = 60.0
"""A taller mast [m] is no advice."""
_STEP = 0.1
_NEAREST = 8
"""So many of the nearest other access points, and posts for a relay, are tried for a link that does not do."""


@dataclass(frozen=True)
class Radio:
    """What the radios at both ends can, and what is asked of a link.

    frequency [Hz]; power [dBm] sent and sensitivity [dBm], of the weaker end each; eirp [dBm]: what power and antenna
    together may send, where the law limits it: then less power is sent. margin [dB] that a link is to have over the
    sensitivity, for fading, rain and noise. node_gain, point_gain [dBi]: antennas of nodes and gateways, and of access
    points, where the site file does not say. canopy_db_per_m: `radio.CANOPY_DB_PER_M`.
    """

    frequency: float = 2.437e9
    power: float = RATES["b1"].power_dbm
    sensitivity: float = RATES["b1"].sensitivity_dbm
    eirp: float = math.inf
    margin: float = 10.0
    node_gain: float = 2.0
    point_gain: float = 5.0
    canopy_db_per_m: float = CANOPY_DB_PER_M


@dataclass(frozen=True)
class End:
    """One end of a link: east, north [site m], its antenna above the ground below [m] and its gain [dBi]."""

    name: str
    kind: Kind
    east: float
    north: float
    agl: float
    gain: float


@dataclass(frozen=True)
class Link:
    """A link, from the end that depends on it to the access point.

    path: its losses. received: level at either end [dBm]; margin: over the sensitivity [dB], nan where the ground is
    unknown. low, high: the margin where the terrain between the ends is higher, or lower, by its error (LE90)
    everywhere; nan where the error is not known. least_agl: least height [m] of this end's antenna with which the link
    has the margin asked for, up to HIGHEST_ANTENNA; least_other_agl: the same of the access point's; nan where there is
    none, or none is needed. others: other access points that this end would reach with the margin asked for, and with
    which margin. relay: a post of the site on which a further access point, as high as this one, would reach both, and
    the lesser of the two margins.
    """

    one: End
    other: End
    radio: Radio
    path: Path
    one_ground_amsl: float
    other_ground_amsl: float
    low: float = math.nan
    high: float = math.nan
    least_agl: float = math.nan
    least_other_agl: float = math.nan
    others: tuple[tuple[str, float], ...] = ()
    relay: tuple[str, float] | None = None

    @property
    def received(self) -> float:
        """Of the two ways, each with less power where `Radio.eirp` asks for it, the weaker."""
        gains = self.one.gain, self.other.gain
        sent = min(min(self.radio.power + gain, self.radio.eirp) - gain for gain in gains)
        return sent + sum(gains) - self.path.loss

    @property
    def margin(self) -> float:
        return self.received - self.radio.sensitivity

    @property
    def lacking(self) -> float:
        """Decibels that antennas would have to bring for the margin asked for; 0 where it is there."""
        return max(self.radio.margin - self.margin, 0.0)

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.margin, self.radio)

    @property
    def doubts(self) -> tuple[Verdict, ...]:
        """What the verdict may be instead, within the terrain's error."""
        found = (verdict_of(margin, self.radio) for margin in (self.low, self.high) if not math.isnan(margin))
        return tuple(dict.fromkeys(each for each in found if each != self.verdict))


def verdict_of(margin: float, radio: Radio) -> Verdict:
    """marginal: heard, with less than the margin asked for; unknown: the margin [dB] is nan."""
    if math.isnan(margin):
        return "unknown"
    if margin < 0.0:
        return "cannot reach"
    return "reaches" if margin >= radio.margin else "marginal"


def antennas(scenario: Scenario) -> list[tuple[float, float]]:
    """Latitude and longitude [degrees] of all access points and gateways: what the terrain has to reach to."""
    points = [(point.latitude_deg, point.longitude_deg) for point in scenario.access_points]
    return points + [(gateway.latitude_deg, gateway.longitude_deg) for gateway in scenario.gateways]


def without_link(scenario: Scenario) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of nodes that reach home through a gateway, and of those and of gateways that name no access point."""
    over = tuple(node.name for node in scenario.nodes if node.gateway is not None)
    return over, tuple(name for name, point in _depending(scenario) if point is None and name not in over)


def names(scenario: Scenario) -> tuple[str, ...]:
    """The ends that have a link, in the order in which `links` tells them."""
    ends = [name for name, point in _depending(scenario) if point is not None]
    return (*ends, *(point.name for point in scenario.access_points if point.via is not None))


def _depending(scenario: Scenario) -> list[tuple[str, str | None]]:
    """Nodes and gateways with the access points that they name."""
    nodes = [(node.name, node.access_point) for node in scenario.nodes]
    return nodes + [(gateway.name, gateway.access_point) for gateway in scenario.gateways]


def links(
    ground: Ground,
    radio: Radio,
    wanted: tuple[str, ...] = (),
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Link, ...]:
    """The site's links, or those of the ends that are wanted, with advice where one has less than its margin."""
    pairs = [pair for pair in _pairs(ground, radio) if not wanted or pair[0].name in wanted]
    found = []
    for number, (one, other) in enumerate(pairs):
        progress(number, len(pairs))
        found.append(_advised(ground, radio, _doubted(ground, radio, link_of(ground, radio, one, other))))
    progress(len(pairs), len(pairs))
    return tuple(found)


def link_of(ground: Ground, radio: Radio, one: End, other: End) -> Link:
    """The link between two ends, without advice."""
    terrain = ground.terrain
    section = section_of(terrain, (one.east, one.north), (other.east, other.north))
    feet = section.ground_amsl[[0, -1]]
    # Where the ground is unknown nothing is judged; the line is drawn as if it were at sea level.
    low, high = (float(foot) if math.isfinite(foot) else 0.0 for foot in feet)
    path = path_over(
        section, low + one.agl, high + other.agl, radio.frequency, canopy_db_per_m=radio.canopy_db_per_m
    )  # fmt: skip
    return Link(one, other, radio, path, low, high)


def _pairs(ground: Ground, radio: Radio) -> Iterator[tuple[End, End]]:
    scenario = ground.scenario
    points = {point.name: point for point in scenario.access_points}
    posts = {post.name: post for post in scenario.posts}

    def end(name: str, kind: Kind, latitude_deg: float, longitude_deg: float, agl: float, gain: float | None) -> End:
        east, north = ground.site.to_site(latitude_deg, longitude_deg)
        usual = radio.point_gain if kind == "access point" else radio.node_gain
        return End(name, kind, float(east), float(north), agl, usual if gain is None else gain)

    def point_end(point: AccessPoint, gain: float | None = None) -> End:
        gain = point.antenna_dbi if gain is None else gain
        return end(point.name, "access point", point.latitude_deg, point.longitude_deg, point.height_agl_m, gain)

    for node in scenario.nodes:
        if node.access_point is not None:
            post = posts[node.post]
            one = end(node.name, "node", post.latitude_deg, post.longitude_deg, node.mast_m, node.antenna_dbi)
            yield one, point_end(points[node.access_point])
    for gate in scenario.gateways:
        if gate.access_point is not None:
            one = end(
                gate.name, "gateway", gate.latitude_deg, gate.longitude_deg, gate.height_agl_m, gate.antenna_dbi
            )  # fmt: skip
            yield one, point_end(points[gate.access_point])
    for point in scenario.access_points:
        if point.via is not None:
            yield point_end(point, point.via_dbi), point_end(points[point.via], point.via_dbi)


def _doubted(ground: Ground, radio: Radio, link: Link) -> Link:
    """The same with the margins of a terrain that is off by its error, but for a posting around each end: there it
    lifts the antenna along.
    """
    error, posting, section = ground.terrain.le90, ground.terrain.posting, link.path.section
    if not (math.isfinite(error) and section.known):
        return link
    apart = posting if math.isfinite(posting) else 0.0
    inner = (section.distance > apart) & (section.length - section.distance > apart)
    margins = []
    for off in (error, -error):
        lifted = replace(
            section,
            ground_amsl=section.ground_amsl + off * inner,
            canopy_amsl=section.canopy_amsl + off * inner,
        )
        ends = link.path.one_amsl, link.path.other_amsl
        path = path_over(lifted, *ends, radio.frequency, canopy_db_per_m=radio.canopy_db_per_m)
        margins.append(replace(link, path=path).margin)
    return replace(link, low=min(margins), high=max(margins))


def _advised(ground: Ground, radio: Radio, link: Link) -> Link:
    """The same with what would help, where it has not the margin asked for."""
    if link.verdict not in ("marginal", "cannot reach"):
        return link
    one, other = link.one_ground_amsl, link.other_ground_amsl

    def enough(one_agl: float, other_agl: float) -> bool:
        path = path_over(
            link.path.section, one + one_agl, other + other_agl, radio.frequency, canopy_db_per_m=radio.canopy_db_per_m
        )  # fmt: skip
        return replace(link, path=path).margin >= radio.margin

    return replace(
        link,
        least_agl=_least(link.one.agl, lambda agl: enough(agl, link.other.agl)),
        least_other_agl=_least(link.other.agl, lambda agl: enough(link.one.agl, agl)),
        others=_others(ground, radio, link),
        relay=_relay(ground, radio, link),
    )


def _least(agl: float, enough: Callable[[float], bool]) -> float:
    """The least height from `agl` on that is enough: a metre at a time, then to `_STEP` within the metre that did it;
    nan where none up to HIGHEST_ANTENNA is. A higher antenna is nearly always better, not always: hence no bisection
    over it all.
    """
    low = agl
    while low < HIGHEST_ANTENNA:
        high = min(math.floor(low + 1.0), HIGHEST_ANTENNA)
        if enough(high):
            while high - low > _STEP / 2.0:
                middle = (low + high) / 2.0
                low, high = (low, middle) if enough(middle) else (middle, high)
            return high
        low = high
    return math.nan


def _others(ground: Ground, radio: Radio, link: Link) -> tuple[tuple[str, float], ...]:
    """Other access points that would do; none for one that depends on this end itself."""
    scenario = ground.scenario
    behind = {link.one.name}
    for _ in scenario.access_points:
        behind |= {point.name for point in scenario.access_points if point.via in behind}
    if link.one.kind != "access point":
        behind = set()
    found = []
    for point in scenario.access_points:
        if point.name == link.other.name or point.name in behind:
            continue
        east, north = (float(part) for part in ground.site.to_site(point.latitude_deg, point.longitude_deg))
        gain = radio.point_gain if point.antenna_dbi is None else point.antenna_dbi
        if link.one.kind == "access point":
            gain = link.other.gain
        found.append(End(point.name, "access point", east, north, point.height_agl_m, gain))
    found.sort(key=lambda end: _apart(end, link.one))
    tried = [(end.name, link_of(ground, radio, link.one, end).margin) for end in found[:_NEAREST]]
    good = [each for each in tried if each[1] >= radio.margin]
    return tuple(sorted(good, key=lambda each: -each[1]))


def _relay(ground: Ground, radio: Radio, link: Link) -> tuple[str, float] | None:
    """The best post for a relay."""
    found = []
    for post in ground.scenario.posts:
        east, north = (float(part) for part in ground.site.to_site(post.latitude_deg, post.longitude_deg))
        end = End(post.name, "access point", east, north, link.other.agl, link.other.gain)
        if min(_apart(end, link.one), _apart(end, link.other)) > 1.0:
            found.append(end)
    found.sort(key=lambda end: _apart(end, link.one))
    best = None
    for end in found[:_NEAREST]:
        margin = min(link_of(ground, radio, *pair).margin for pair in ((link.one, end), (end, link.other)))
        if margin >= radio.margin and (best is None or margin > best[1]):
            best = end.name, margin
    return best


def _apart(one: End, other: End) -> float:
    return math.hypot(one.east - other.east, one.north - other.north)
