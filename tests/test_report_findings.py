"""report/findings.py: what is found out besides the coverage, in every output that tells of it."""

import json

import pytest

from coverage_fixture import coverage
from dronewall.engine.closing import told
from dronewall.interop import geojson
from dronewall.report import html, picture, records, table
from dronewall.report.closing import closer_brief, lie_words
from dronewall.report.findings import NOTHING, Findings
from test_closing import EAST, NORTH, gap, real, scene  # noqa: F401
from test_report_html import doing, opened
from test_report_table import printed
from test_trust import EXAMPLE

LOSING = "Losing P4 opens 600 m more."
TRUSTED = "walker, breach: 3 gaps, 412 m; if detection were half as good"


@pytest.fixture
def near(scene):  # noqa: F811
    """The closers of a gap, P1/cam and P2/cam turned, and the flat ground it lies on."""
    wall = scene(("P2/cam", EAST + 300.0, NORTH, 90.0), ("P1/cam", EAST, 205.0, 320.0))
    return told(wall)[gap().id]


@pytest.fixture
def found(near):
    """The same for every gap of the fixture's wall but those of unknown ground, which nobody is near."""
    gaps = [one for target in coverage(assured=True).targets for one in target.gaps]
    return Findings({one.id: near if one.start > 0.0 else ((), near[1]) for one in gaps}, ("P4", 600.0), (EXAMPLE,))


def test_the_terminal_says_under_the_gaps_what_would_close_them_and_ends_with_the_sentence(found, near):
    lines = [line.rstrip() for line in printed(table.report(coverage(), found), width=80).splitlines()]
    start = lines.index("What would close them: the least turn or mast, and the chance in a look then")
    first = f"P1/cam turned 10° right: {closer_brief(near[0][0]).split(': ')[1]}"
    assert lines[start + 1 : start + 5] == [
        "1  no sensor is near enough",
        f"2  {first}",
        f"3  {first}",
        "4  no sensor is near enough",
    ]
    text = "\n".join(lines)
    assert text.index("0.00–0.10") < text.index("What would close") < text.index("3 of 4 sensors count")
    assert text.index("breach gaps") < text.index("How far to trust that") < text.index("Targets: ")
    assert TRUSTED in text
    sentence = " ".join(lines[lines.index("") - 1 :])
    assert LOSING in sentence
    assert lines[-1].endswith("P3/cam missing.")
    assert max(map(len, lines)) <= 80


def test_only_the_longest_gaps_of_each_target_get_a_line(found, monkeypatch):
    monkeypatch.setattr(table, "_CLOSED", 2)
    text = printed(table.report(coverage(), found), width=80)
    lines = text[text.index("What would close") :].splitlines()[1:4]
    # The walker's breach gap of 380 m, and the only one of the drone.
    assert [line.split()[0] for line in lines] == ["2", "4", "..."]
    assert "2 shorter" in lines[2]
    assert "turned leaves what it sees now" in lines[2]


def test_nothing_is_said_of_what_nobody_asked():
    for text in (printed(table.report(coverage())), html.page(coverage()), json.dumps(records.as_json(coverage()))):
        for word in ("would close them", "Losing", "How far to trust", "data-card=", "closers", "worst_loss"):
            assert word not in text
    assert records.as_json(coverage(), NOTHING) == records.as_json(coverage())
    assert not any("closer_words" in each["properties"] for each in geojson.features(coverage())["features"])


def test_json_has_all_closers_and_the_ground_of_every_gap(found, near):
    answer = json.loads(json.dumps(records.as_json(coverage(assured=True), found), allow_nan=False))
    for one in answer["gaps"]:
        assert [closer["sensor"] for closer in one["closers"]] == (
            ["P1/cam", "P2/cam"] if one["chainage_from_m"] > 0.0 else []
        )
        assert one["ground"]["words"] == lie_words(near[1])
        assert one["ground"]["lowest_amsl_m"] == 100.0
    assert LOSING in answer["summary"]["sentence"]
    assert answer["summary"]["worst_loss"] == {"name": "P4", "opens_breach_m": 600.0, "target": "walker"}
    assert [each["target"] for each in answer["trust"]] == ["walker"]


def test_a_gap_on_a_map_has_its_nearest_closer_and_its_ground_in_flat_properties(found, near):
    for feature in geojson.features(coverage(), found)["features"]:
        properties = feature["properties"]
        if properties["type"] != "gap":
            continue
        told = {key: value for key, value in properties.items() if key.startswith(("closer_", "ground_"))}
        assert all(value is None or isinstance(value, str | int | float) for value in told.values())
        assert told["ground_words"] == lie_words(near[1])
        assert told["ground_slope_across_deg"] == 0.0
        if properties["chainage_from_m"] > 0.0:
            assert (told["closer_sensor"], told["closer_miss"], told["closer_aside_deg"]) == ("P1/cam", "angle", 10.0)
        else:
            assert told["closer_brief"] == told["closer_words"] == "no sensor is near enough"


def test_the_picture_says_it_in_the_sentence_alone(found):
    with_it, without = (
        {text.get_text() for text in picture.figure_of(coverage(), some).texts} for some in (found, NOTHING)
    )
    assert len(with_it - without) == 1
    assert LOSING in " ".join(next(iter(with_it - without)).split())


def test_the_page_shows_what_would_close_the_gap_that_is_chosen(found, near, chromium, tmp_path):
    ask = "const shown = [...document.querySelectorAll('[data-card]')];"
    ask += "const cards = () => shown.filter(card => !card.hidden).map(card => card.innerText);"
    ask += "const choose = n => document.querySelector(`#gaps tr[data-gap='${n}']`).click();"
    ask += "const target = n => document.querySelectorAll('input[name=target]')[n].click();"
    ask += "setTimeout(() => { const seen = [cards()]; for (const n of [2, 1]) { choose(n); seen.push(cards()); }"
    ask += "target(1); seen.push(cards()); say(seen); }, 500);"
    page = opened(chromium, tmp_path, doing(html.page(coverage(), found), ask), size="1366,900")
    assert "data-error" not in page.elements[0][1]
    before, second, first, other = json.loads(page.texts["found"])
    assert (before, other) == ([], [])
    (text,) = second
    assert text.startswith("Gap 2 km 1.14 to 1.52, 380 m")
    assert [closer_brief(each) in text for each in near[0]] == [True, True]
    assert f"Ground: {lie_words(near[1])}" in text
    assert "no sensor is near enough" in first[0]
    assert LOSING in page.texts["loss"]
    assert LOSING in page.texts["sentence"]
    assert TRUSTED in page.texts["trust"]


def test_names_in_findings_are_escaped(found, near):
    wicked = "<b>P4</b>"
    text = html.page(coverage(), Findings(found.closing, (wicked, 600.0), found.trust))
    assert wicked not in text
    assert "&lt;b&gt;P4&lt;/b&gt;" in text
