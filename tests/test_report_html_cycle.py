import base64
import dataclasses
import json
import re

import numpy as np
import pytest

from cycle_fixture import STEP, STEPS, cycle, nobody_flies, real, wall
from dronewall.report import html
from test_report_html import Page, doing, opened


@pytest.fixture(scope="module")
def text():
    """The page of the wall above with its cycle, at both levels."""
    found = wall(assured=True)
    return html.page(found, cycle=cycle(found))


def test_without_a_cycle_the_page_has_nothing_of_it():
    page = html.page(wall())
    assert "@@" not in page
    for word in ("overtime", "player", "timedonly", "nowrow", "timechart"):
        assert word not in page


def test_sentence_and_cards_say_which_moment_of_the_drones_plan_it_is():
    page = html.page(dataclasses.replace(wall(), at_s=700.0))
    assert Page(page).texts["sentence"].startswith("At 11:40 of the drones' plan, walker: 2 gaps")
    assert '<li class="when" title="at 11:40 of the drones&#x27; plan"><b>at 11:40</b></li>' in page
    assert "drones&#x27; plan" not in html.page(wall())


def test_the_page_still_refers_to_nothing_outside_itself(text):
    plain = re.sub(r"(base64,|\")[A-Za-z0-9+/=]{30,}", "", text)
    assert not re.search(r"https?:|//[a-z]|file:|url\(|@import|<link|<iframe|@@", plain, re.IGNORECASE)


def test_tables_and_sentences_stand_in_the_page_without_any_script(text):
    page = Page(text)
    assert "walker: somebody who knows the drones' schedule crosses at km 1.30" in page.texts["verdict"]
    # 10 s out, 480 s on station, 10 s home, 100 s on the ground
    assert "D1 valley0:300:408:408:5010:30" in page.texts["flights"]
    rows = page.having("data-opening")
    assert [(row["data-whose"], "hidden" in row) for row in rows][:2] == [("0", False), ("0", False)]
    assert {row["data-whose"] for row in rows if "hidden" in row} == {"1", "2", "3"}
    assert "1.14 to 1.52" in page.texts["openings"]


def test_the_data_says_what_is_watched_bit_by_bit():
    found = wall()
    made = cycle(found)
    data = json.loads(Page(html.page(found, cycle=made)).texts["cycle"])
    for index, of in enumerate(made.targets):
        told = data["targets"][str(index)]
        packed = np.frombuffer(base64.b64decode(told["watched"]), dtype=np.uint8).reshape(STEPS, -1)
        assert np.array_equal(np.unpackbits(packed, axis=1)[:, : told["count"]].astype(bool), of.watched.T)
    first = next(sensor for sensor in data["sensors"] if sensor["name"] == "D1/cam")["at"]
    # on the ground until 30 s and from 530 s; always flying east or west over the first leg, with one outline
    assert [pose != 0 for pose in first] == [30.0 < (step + 0.5) * STEP < 530.0 for step in range(STEPS)]
    assert {pose[2] for pose in first if pose and 100 < 0.5 * pose[0] < 1000} <= {90, 270}
    assert data["drones"]["D1"]["phases"].count("s") == 96  # 480 s


def test_the_section_names_the_drones_that_nobody_hears(text):
    assert "nobody hears" not in text
    found = wall()
    page = Page(html.page(found, cycle=dataclasses.replace(cycle(found), source="live", silent=("D2",))))
    assert "Left out, for nobody hears of them: D2." in page.texts["verdict"]
    assert "The drones fly as planned" in page.texts["verdict"]


def test_names_are_escaped_in_what_the_cycle_adds():
    wicked = "</script><script>alert(1)</script>"
    found = wall()
    made = cycle(found)
    lost = tuple(dataclasses.replace(each, drone=wicked) for each in made.losses)
    text = html.page(found, cycle=dataclasses.replace(made, losses=lost))
    assert text.count("<script") == 3
    assert text.count("</script>") == 3


def test_the_slider_moves_drones_frontage_and_lines(chromium, tmp_path, text):
    script = """
      const seen = {}, slider = document.getElementById("time"), map = document.getElementById("map");
      const go = step => { slider.value = step; slider.dispatchEvent(new Event("input")); };
      const data = JSON.parse(document.getElementById("data").textContent);
      const shown = node => !node.hasAttribute("hidden") && getComputedStyle(node).display !== "none";
      const flyer = name => document.querySelector(`.flyer[data-drone=${name}]`);
      const moved = node => /translate\\(([-0-9.]+) ([-0-9.]+)/.exec(node.getAttribute("transform"));
      const where = node => moved(node).slice(1).map(Number);
      const row = getComputedStyle(document.getElementById("nowrow")).visibility;
      seen.before = [map.classList.contains("timed"), shown(flyer("D1")), row];
      go(152);  // 762.5 s: D2 has been on station for 122.5 s at 5 m/s from 300 m; D3 is near where it began
      seen.clock = document.getElementById("clock").textContent;
      seen.doing = document.getElementById("doing").textContent;
      seen.drone = Math.round(where(flyer("D2"))[0] - data.points[0][0]);
      const wedge = document.querySelector("#flying path:not([hidden])");
      seen.wedge = wedge.getAttribute("transform").replace(/[^ ]+ [^ ]+ /, "");
      seen.shown = [shown(flyer("D1")), shown(flyer("D2")), shown(flyer("D3"))];
      const metres = text => Math.round(30 * parseFloat(text));
      const cells = () => [...document.querySelectorAll("#nowcells .seg.open")].map(
        cell => [metres(cell.style.left), metres(cell.style.width)]);
      seen.closed = cells();
      go(166);  // 832.5 s: it is at 1262.5 m, and watches from 1112.5 to 1412.5 m
      seen.over = cells();
      seen.line = Math.round(10 * parseFloat(document.querySelector(".timechart .moment").style.top.slice(5)));
      seen.said = slider.getAttribute("aria-valuetext").slice(0, 20);
      document.getElementById("untimed").click();
      seen.after = [map.classList.contains("timed"), shown(flyer("D1"))];
      say(seen);
    """
    page = opened(chromium, tmp_path, doing(text, script))
    assert "data-error" not in page.elements[0][1]
    seen = json.loads(page.texts["found"])
    assert seen.pop("drone") == pytest.approx(300.0 + 5.0 * 122.5, abs=1.0)
    assert seen == {
        "before": [False, False, "hidden"],
        "clock": "12:43",
        "doing": "D1 on the ground until 0:30 · D2 on station · D3 on station",
        "wedge": "rotate(90)",
        "shown": [False, True, True],
        "closed": [[1200, 200], [2600, 50]],
        "over": [[2600, 50]],
        "line": 694,  # 832.5 s of 1200, in tenths of a per cent
        "said": "13:53. D1 on the gro",
        "after": [False, False],
    }


def test_openings_light_up_while_they_are_open_and_a_click_goes_there(chromium, tmp_path, text):
    script = """
      const seen = {}, slider = document.getElementById("time");
      const go = step => { slider.value = step; slider.dispatchEvent(new Event("input")); };
      const rows = query => [...document.querySelectorAll(query)].filter(row => !row.hasAttribute("hidden"));
      const lit = () => rows("#openings tr.now").map(row => row.cells[0].textContent);
      const data = JSON.parse(document.getElementById("cycle").textContent), opening = data.targets[0].openings[1];
      go(Math.floor(opening.times[0][0] / data.step) + 1); seen.open = lit();
      seen.word = document.querySelector("#openings tr.now").lastElementChild.textContent;
      go(Math.floor(opening.times[0][1] / data.step) + 1); seen.shut = lit();
      document.querySelector("#openings tr[data-opening='1'][data-whose='0']").click();
      seen.clicked = lit();
      seen.place = document.getElementById("ribbon").getAttribute("aria-valuenow");
      document.querySelector("input[name=target][value='2']").click();
      seen.other = rows("#openings tr[data-whose]").map(row => row.dataset.whose);
      seen.charts = rows("#overtime > [data-target]").map(node => node.dataset.target);
      say(seen);
    """
    page = opened(chromium, tmp_path, doing(text, script))
    assert "data-error" not in page.elements[0][1]
    assert json.loads(page.texts["found"]) == {
        "open": ["0.00 to 0.10", "1.14 to 1.52"],
        "word": "open",
        "shut": ["0.00 to 0.10"],
        "clicked": ["0.00 to 0.10", "1.14 to 1.52"],
        "place": "1330",
        "other": ["2", "2"],
        "charts": ["2"],
    }


def test_play_runs_and_pauses_and_keys_do_the_same(chromium, tmp_path, text):
    script = """
      const seen = {}, slider = document.getElementById("time"), play = document.getElementById("play");
      const press = name => new KeyboardEvent("keydown", {key: name, bubbles: true, cancelable: true});
      const key = name => slider.dispatchEvent(press(name));
      play.click(); seen.playing = play.getAttribute("aria-pressed");
      setTimeout(() => {
        seen.moved = +slider.value > 0;
        key(" "); seen.paused = play.getAttribute("aria-pressed");
        const at = slider.value;
        setTimeout(() => { seen.stays = slider.value === at; say(seen); }, 300);
      }, 1500);
    """
    page = opened(chromium, tmp_path, doing(text, script))
    assert "data-error" not in page.elements[0][1]
    assert json.loads(page.texts["found"]) == {"playing": "true", "moved": True, "paused": "false", "stays": True}


def test_a_link_opens_the_page_at_a_time_and_a_place(chromium, tmp_path, text):
    page = opened(chromium, tmp_path, text, "#time=232&km=1.25")
    assert "data-error" not in page.elements[0][1]
    assert page.texts["clock"] == "3:53"
    assert re.search(
        r"At 3:53, km 1.25: watched now; who sets out then is detected with \d+ %\.", page.texts["readout"]
    )
    page = opened(chromium, tmp_path, text, "#time=400&km=1.25")


def test_the_readout_says_when_a_place_is_next_watched(chromium, tmp_path):
    # D1 is within 150 m of km 1.25 from 3:20 to 4:20 and from 5:00 to 6:00, D2 ten minutes later
    found = wall()
    made = cycle(found)
    page = opened(chromium, tmp_path, html.page(found, cycle=made), "#time=400&km=1.25")
    assert "At 6:43, km 1.25: not watched, next look in 6:38; who sets out" in page.texts["readout"]
    page = opened(chromium, tmp_path, html.page(found, cycle=made), "#time=1000&km=1.25")  # round the cycle's end
    assert "At 16:43, km 1.25: not watched, next look in 6:38; who sets out" in page.texts["readout"]
    once = dataclasses.replace(made, periodic=False)
    page = opened(chromium, tmp_path, html.page(found, cycle=once), "#time=1000&km=1.25")
    assert "At 16:43, km 1.25: not watched, and not again in the plan; who" in page.texts["readout"]
    nobody = dataclasses.replace(made.targets[0], watched=np.zeros_like(made.targets[0].watched))
    never = dataclasses.replace(made, targets=(nobody, *made.targets[1:]))
    page = opened(chromium, tmp_path, html.page(found, cycle=never), "#time=1000&km=1.25")
    assert "At 16:43, km 1.25: never watched; who" in page.texts["readout"]


def test_while_time_runs_what_stands_still_says_of_when_it_is(chromium, tmp_path):
    script = """
      const seen = {}, slider = document.getElementById("time"), root = document.documentElement;
      const style = query => getComputedStyle(document.querySelector(query));
      const look = () => [style(".timedkey").display !== "none", style(".key:not(.timedkey)").display !== "none",
        style(".stillnote").display !== "none", +style(".curve").opacity, +style(".row[data-kind]").opacity];
      seen.before = look();
      document.getElementById("ribbon").dispatchEvent(new KeyboardEvent("keydown", {key: "End"}));
      slider.value = 80; slider.dispatchEvent(new Event("input"));
      seen.timed = look();
      seen.note = document.querySelector(".stillnote").textContent;
      seen.still = document.querySelector("#readout .still").textContent.slice(0, 14);
      const doing = document.getElementById("doing");
      seen.cut = doing.scrollWidth > doing.clientWidth;
      document.getElementById("untimed").click();
      seen.after = [...look(), document.querySelector("#readout .still") !== null];
      say(seen);
    """
    found = dataclasses.replace(wall(), at_s=0.0)
    page = opened(chromium, tmp_path, doing(html.page(found, cycle=cycle(found)), script))
    assert "data-error" not in page.elements[0][1]
    still = [False, True, False, 1, 1]
    assert json.loads(page.texts["found"]) == {
        "before": still,
        "timed": [True, False, True, 0.4, 0.4],
        "note": "at 0:00",
        "still": "At 0:00: km 3.",
        "cut": False,
        "after": [*still, False],
    }


def test_a_click_on_a_chart_goes_to_its_time_and_place(chromium, tmp_path, text):
    script = """
      const chart = document.querySelector(".timechart"), box = chart.getBoundingClientRect();
      chart.setPointerCapture = () => {};
      const spot = {clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true};
      chart.dispatchEvent(new PointerEvent("pointerdown", spot));
      const ribbon = document.getElementById("ribbon");
      say([ribbon.getAttribute("aria-valuenow"), document.getElementById("clock").textContent]);
    """
    page = opened(chromium, tmp_path, doing(text, script))
    place, clock = json.loads(page.texts["found"])
    assert abs(int(place) - 1500) <= 3
    assert clock in ("9:58", "10:03")


def test_a_cycle_adds_little_to_the_page(text):
    found = wall(assured=True)
    assert len(text) - len(html.page(found)) < 500_000


def test_a_cycle_without_a_drone_in_the_air_makes_a_page(chromium, tmp_path):
    page = opened(chromium, tmp_path, html.page(wall(), cycle=nobody_flies()), "#time=100&km=1")
    assert "data-error" not in page.elements[0][1]
    assert "At 1:43, km 1.00: watched now;" in page.texts["readout"]


def test_the_demos_ground_with_all_its_targets_and_levels_makes_a_page_that_runs(chromium, tmp_path):
    found, made = real()
    text = html.page(found, cycle=made)
    assert len(text) < 3_000_000
    page = opened(chromium, tmp_path, text, "#target=3&time=300&km=3")
    assert "data-error" not in page.elements[0][1]
    assert page.texts["clock"] == "5:03"
    assert len([path for path in page.of_class("flying") if "hidden" not in path]) == 2  # D1 and D3
