import dataclasses
import json
import re
import subprocess
from html.parser import HTMLParser

import pytest

from coverage_fixture import coverage
from dronewall.report import html

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
]


class Page(HTMLParser):
    """All elements with their attributes, and the texts of those with an id."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        self._open.append((tag, attributes.get("id")))

    def handle_endtag(self, tag):
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index][0] == tag:
                del self._open[index:]
                return

    def handle_data(self, data):
        for _, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data

    def having(self, key, value=None):
        return [attributes for _, attributes in self.elements if key in attributes and value in (None, attributes[key])]

    def of_class(self, name):
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


def opened(chromium, folder, text, fragment="", size="1400,900"):
    """The page as chromium leaves it after its scripts ran."""
    path = folder / "report.html"
    path.write_text(text)
    done = subprocess.run(
        [
            chromium,
            *FLAGS,
            f"--window-size={size}",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            f"{path.as_uri()}{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return Page(done.stdout)


def doing(text, script):
    """The page with a script at its end that writes what it finds into #found."""
    say = "const say = value => found.textContent = JSON.stringify(value);"
    return text.replace("</body>", f'<pre id="found"></pre><script>{{ {say} {script} }}</script></body>')


def test_the_page_refers_to_nothing_outside_itself():
    text = html.page(coverage())
    assert not re.search(
        r"https?:|//[a-z]|file:|url\(|@import|<link|<iframe",
        re.sub(r"base64,[A-Za-z0-9+/=]+", "", text),
        re.IGNORECASE,
    )
    page = Page(text)
    for attributes in page.having("href") + page.having("src"):
        assert (attributes.get("href") or attributes.get("src")).startswith("data:image/png;base64,")
    policy = next(attributes["content"] for attributes in page.having("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_the_ribbon_shows_the_gap_at_its_share_of_the_frontage_without_any_script():
    page = Page(html.page(coverage()))
    line, lane, breach = (attributes for attributes in page.of_class("seg") if attributes.get("data-gap") == "2")
    assert line["style"] == "left:40.000%;width:6.667%"  # 1200 and 200 m of 3000
    assert lane["style"] == "left:38.333%;width:11.667%"  # 1150 and 350 m
    assert breach["style"] == "left:38.000%;width:12.667%"  # 1140 and 380 m
    # a gap all of whose ground is unknown is shown as unknown
    assert not [attributes for attributes in page.of_class("seg") if attributes.get("data-gap") == "1"]
    assert len([attributes for attributes in page.of_class("seg") if "unknown" in attributes["class"]]) == 6
    assert "1.14–1.52" in page.texts["gaps"]
    assert "2 gaps, 480 m of 3.0 km" in page.texts["sentence"]
    assert "never reported" in page.texts["sensors"]


def test_names_are_escaped_wherever_they_stand():
    wicked = "<script>alert(1)</script>"
    wall = coverage(
        posts={
            wicked: (200.0, 0.0),
            'P"2': (1100.0, 0.0),
            "@@DATA@@": (1700.0, 0.0),
            "</script>": (2000.0, 500.0),
        }
    )
    gaps = tuple(dataclasses.replace(gap, nearest_posts=(wicked,)) for gap in wall.targets[0].gaps)
    wall = dataclasses.replace(wall, targets=(dataclasses.replace(wall.targets[0], gaps=gaps), wall.targets[1]))
    text = html.page(wall)
    assert text.count("<script") == Page(text).elements.count(("script", {})) + 1 == 2
    assert text.count("</script>") == 2
    data = json.loads(Page(text).texts["data"])
    assert {post["name"] for post in data["posts"]} == set(wall.posts)


def test_scripts_run_without_error_and_the_page_is_all_there(chromium, tmp_path):
    page = opened(chromium, tmp_path, html.page(coverage()))
    root = page.elements[0][1]
    assert "data-error" not in root
    assert root["data-ready"] == "1"
    assert len(page.having("data-of")) == 4
    assert len([row for row in page.having("data-of") if "hidden" not in row]) == 3  # of the walker
    assert page.texts["gapcount"] == "walker: 3"
    shown = [row["data-kind"] for row in page.having("data-kind") if "hidden" not in row]
    assert shown == ["line", "lane", "breach"]


def test_a_link_goes_to_the_gap_and_puts_the_marker_on_the_frontage(chromium, tmp_path):
    page = opened(chromium, tmp_path, html.page(coverage()), "#gap=2", size="1400,1300")
    said = (
        "km 1.30, between P2 and P3. walker: line 10 %, lane 10 %, breach 2 % (1 % before the frontage, warning 1:35)."
    )
    assert said in page.texts["readout"]
    assert "gap 2 (breach, lane, line; 380 m)" in page.texts["readout"]
    (marker,) = page.having("id", "marker")
    data = json.loads(page.texts["data"])
    x, y = (float(value) for value in re.match(r"translate\(([\d.]+) ([\d.]+)\)", marker["transform"]).groups())
    # the first leg runs due east: 1305 m from its start, where the gap is weakest
    assert (x - data["points"][0][0], y - data["points"][0][1]) == (
        pytest.approx(1305.0, abs=0.2),
        pytest.approx(0.0, abs=0.2),
    )
    # HTMLParser lowers the names of attributes
    left, top, width, height = (float(value) for value in page.having("id", "map")[0]["viewbox"].split())
    assert left < x < left + width < left + 2000.0
    assert top < y < top + height


def test_keys_and_pointer_move_the_marker_both_ways_and_the_target_can_be_switched(chromium, tmp_path):
    script = """
      const seen = {}, ribbon = document.getElementById("ribbon"), map = document.getElementById("map");
      const press = name => new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true});
      const key = (node, name) => node.dispatchEvent(press(name));
      const move = (x, y) => new PointerEvent("pointermove", {clientX: x, clientY: y, bubbles: true});
      key(ribbon, "End"); seen.end = ribbon.getAttribute("aria-valuenow");
      key(ribbon, "Home"); key(ribbon, "ArrowRight"); seen.step = ribbon.getAttribute("aria-valuenow");
      const box = ribbon.getBoundingClientRect();
      ribbon.dispatchEvent(move(box.left + box.width / 2, box.top + 5));
      seen.half = ribbon.getAttribute("aria-valuenow");
      const data = JSON.parse(document.getElementById("data").textContent);
      const [x, y] = data.points[0], spot = new DOMPoint(x + 700, y + 20).matrixTransform(map.getScreenCTM());
      map.dispatchEvent(move(spot.x, spot.y));
      seen.map = Math.round(ribbon.getAttribute("aria-valuenow") / 5) * 5;
      seen.cursor = Math.round(parseFloat(document.getElementById("cursor").style.left));
      const wide = () => +map.getAttribute("viewBox").split(" ")[2], before = wide();
      key(map, "+"); seen.zoomed = wide() < before;
      key(map, "0"); seen.back = Math.abs(wide() - before) < 1e-6 * before;
      document.querySelector("#gaps tr[data-gap='3'] button").click();
      seen.clicked = ribbon.getAttribute("aria-valuenow");
      document.querySelector("input[name=target][value='1']").click();
      const rows = [...document.querySelectorAll("#gaps tr[data-of]")];
      seen.shown = rows.filter(row => !row.hidden).map(row => row.dataset.gap);
      const stripes = [...document.querySelectorAll("#ribbon [data-name]")];
      seen.rows = stripes.filter(row => !row.hidden).map(row => row.dataset.name);
      seen.images = [...document.querySelectorAll("image.look")].map(image => image.hasAttribute("hidden"));
      document.querySelector(".wedge[data-sensor='0']").dispatchEvent(new PointerEvent("pointerenter"));
      seen.lit = [...document.querySelectorAll(".wedge.lit")].length;
      seen.said = document.getElementById("lit").textContent;
      say(seen);
    """
    page = opened(chromium, tmp_path, doing(html.page(coverage()), script))
    assert "data-error" not in page.elements[0][1]
    seen = json.loads(page.texts["found"])
    assert seen["said"].startswith("P1/cam: planned, azimuth 6")
    del seen["said"]
    assert seen == {
        "end": "3000",
        "step": "10",
        "half": "1500",
        "map": 700,
        "cursor": 23,
        "zoomed": True,
        "back": True,
        "clicked": "2605",
        "shown": ["4"],
        "rows": ["1", "1", "1"],
        "images": [True, False],
        "lit": 1,
    }


def test_hovering_the_breach_row_moves_the_marker_and_says_all_three_chances(chromium, tmp_path):
    script = """
      const row = document.querySelector("#ribbon [data-kind=breach]"), box = row.getBoundingClientRect();
      const spot = {clientX: box.left + box.width * 1305 / 3000, clientY: box.top + 5, bubbles: true};
      row.dispatchEvent(new PointerEvent("pointermove", spot));
      const data = JSON.parse(document.getElementById("data").textContent);
      const marker = document.getElementById("marker");
      const [x, y] = /translate\\(([-0-9.]+) ([-0-9.]+)/.exec(marker.getAttribute("transform")).slice(1).map(Number);
      const readout = document.getElementById("readout").textContent, ribbon = document.getElementById("ribbon");
      say([Math.round(x - data.points[0][0]), Math.round(y - data.points[0][1]), marker.hasAttribute("hidden"), readout,
           ribbon.getAttribute("aria-valuetext")]);
    """
    page = opened(chromium, tmp_path, doing(html.page(coverage()), script))
    assert "data-error" not in page.elements[0][1]
    east, south, hidden, readout, spoken = json.loads(page.texts["found"])
    assert abs(east - 1305) <= 2  # the ribbon's pixels are 2 m wide
    assert (south, hidden) == (0, False)
    chances = "line 10 %, lane 10 %, breach 2 % (1 % before the frontage, warning 1:35)."
    assert chances in readout
    assert chances in spoken


def test_a_chosen_gap_shows_its_best_crossing_on_the_map(chromium, tmp_path):
    page = opened(chromium, tmp_path, html.page(coverage()), "#gap=2")
    ways = {way["data-gap"]: "hidden" not in way for way in page.of_class("way") if "data-gap" in way}
    assert ways == {"1": False, "2": True, "4": False}  # the third is a line gap alone: nobody gets through there
    routes = [way["class"] for way in page.of_class("way") if "data-gap" not in way]
    assert routes == ["way bottleneck", "way weakest", "way weakest"]


def test_thirty_sensors_and_fifty_gaps_stay_a_small_page():
    wall = coverage()
    first = wall.targets[0]
    gaps = tuple(
        dataclasses.replace(first.gaps[1], id=f"g{number}", start=110.0 + 55.0 * number, end=130.0 + 55.0 * number)
        for number in range(50)
    )
    sensors = tuple(dataclasses.replace(wall.sensors[0], name=f"P{number}/cam") for number in range(30))
    text = html.page(dataclasses.replace(wall, targets=(dataclasses.replace(first, gaps=gaps),), sensors=sensors))
    page = Page(text)
    assert len(page.having("data-of")) == 50
    assert len(page.of_class("wedge")) == 30
    assert len(text) < 1_000_000


@pytest.mark.parametrize("size", ["1366,768", "1366,911", "1400,1000", "1920,1080"])
def test_at_first_sight_a_tall_map_fits_between_header_and_ribbon(chromium, tmp_path, size):
    text = html.page(coverage()).replace("aspect-ratio: ", "aspect-ratio: 1 / 3; --was: ")
    boxes = "const [m, d] = ['map', 'dock'].map(n => document.querySelector('#map.' + n + ', #' + n + ', .' + n));"
    ask = f"{boxes} say([m.getBoundingClientRect().bottom, m.clientHeight, d.getBoundingClientRect().top, "
    ask += "d.getBoundingClientRect().bottom, innerHeight])"
    page = opened(chromium, tmp_path, doing(text, f"setTimeout(() => {{ {ask} }}, 1000)"), size=size)
    bottom, height, dock, dock_bottom, window = json.loads(page.texts["found"])
    assert bottom <= dock
    assert height >= 200
    assert dock_bottom <= window + 1 or window < 720  # chromium takes some of the window for itself


def test_a_switch_shows_each_target_at_each_level(chromium, tmp_path):
    page = opened(chromium, tmp_path, html.page(coverage(assured=True)), "#target=2")
    for name in ("walker", "low-drone", "walker assured", "low-drone assured"):
        assert f">{name}</label>" in html.page(coverage(assured=True))
    # The map's layers, the curve and the list of gaps are the assured walker's now.
    assert page.texts["gapcount"].startswith("walker assured: 2")
