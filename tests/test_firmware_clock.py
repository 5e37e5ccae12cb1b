"""firmware/clock.py and flash.py: time without an epoch, counters that survive a cut."""

from datetime import UTC, datetime

import pytest

from firmware_side import answer, interpreter


@pytest.fixture(params=["cpython", "micropython"])
def side(request):
    return interpreter(request.param)


def test_calendar_days_become_unix_time_on_either_side_of_every_leap_day(side):
    days = [(y, m, d) for y in (1970, 2000, 2024, 2025, 2026, 2096) for m in (1, 2, 3, 12) for d in (1, 28)]
    days += [(2024, 2, 29), (2000, 2, 29), (2026, 12, 31)]
    source = "import clock\nout = [clock.unix_ms(y, m, d, 43200123) for y, m, d in given]"
    expected = [int(datetime(*day, 12, tzinfo=UTC).timestamp()) * 1000 + 123 for day in days]
    assert answer(side, source, days) == expected


def test_a_clock_that_was_never_set_says_none_and_1980_does_not_set_it(side):
    source = """
import clock
c = clock.Clock()
out = [c.at(5), c.source, c.set(clock.unix_ms(1980, 1, 6, 0), 1000, "gnss"), c.at(5)]
out += [c.set(1795392000000, 1000, "gnss"), c.at(1500), c.source]
"""
    assert answer(side, source) == [None, "none", False, None, True, 1795392000500, "gnss"]


@pytest.mark.parametrize("date", [(2026, 0, 1, 0), (2026, 13, 1, 0), (2026, 1, 32, 0), (2026, 1, 1, 86_401_000)])
def test_a_date_that_does_not_exist_is_refused(side, date):
    source = """
import clock
try:
    out = clock.unix_ms(*given)
except ValueError as error:
    out = str(error)
"""
    assert str(answer(side, source, date)).startswith("no such date")


def test_the_uptime_goes_on_when_the_ticks_wrap(micropython):
    source = """
import clock, time
class Ticks:
    now = (1 << 30) - 100
    def ticks_ms(self): return self.now
    def ticks_diff(self, a, b): return time.ticks_diff(a, b)
clock.time = ticks = Ticks()
out = [clock.uptime_ms()]
ticks.now = 150 & ((1 << 30) - 1)
out.append(clock.uptime_ms())
"""
    # The unix port's ticks wrap at 2**62, so the difference is made as the board makes it.
    source = source.replace(
        "return time.ticks_diff(a, b)", "return ((a - b + (1 << 29)) & ((1 << 30) - 1)) - (1 << 29)"
    )
    assert answer(micropython, source) == [0, 250]


COUNT = "import flash\nout = flash.counted(*given)"


def test_boots_and_resets_are_counted_across_starts(side, tmp_path):
    assert answer(side, COUNT, [1, 0], tmp_path) == [1, 0]
    assert answer(side, COUNT, [0, 1], tmp_path) == [1, 1]
    assert answer(side, COUNT, [1, 0], tmp_path) == [2, 1]


@pytest.mark.parametrize(
    ("boot", "new", "expected"),
    [
        ("7 3\n", None, [8, 3]),
        ("7 3\n", "", [8, 3]),  # cut before the new one was written
        ("7 3\n", "8", [8, 3]),  # cut in the middle of it
        (None, "8 3\n", [9, 3]),  # cut within the rename
        ("garbage", None, [1, 0]),
        (None, None, [1, 0]),
        ("1048574 0\n", None, [0, 0]),  # the wire's bound
    ],
)
def test_a_cut_leaves_the_old_counters_or_the_new(side, tmp_path, boot, new, expected):
    for name, text in (("boot", boot), ("boot.new", new)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert answer(side, COUNT, [1, 0], tmp_path) == expected
