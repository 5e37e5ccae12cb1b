"""firmware/clock.py: time without an epoch."""

from datetime import UTC, datetime

import pytest

from firmware_side import SIDES, answer, interpreter


@pytest.fixture(params=SIDES)
def side(request):
    return interpreter(request.param)


@pytest.fixture(params=SIDES[:2])
def keeping(request):
    """An interpreter whose files are there for the next one."""
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
    assert answer(side, source) == [None, "none", None, None, True, 1795392000500, "gnss"]


def test_a_year_after_which_the_wire_ends_does_not_set_the_clock(side):
    source = """
import clock
c = clock.Clock()
out = [c.set(clock.unix_ms(2099, 12, 31, 0), 1000, "gnss"), c.at(5)]
"""
    assert answer(side, source) == [None, None]


CLOCK = """
import clock
c = clock.Clock()
if given[0]:
    c.provision(given[0], 1000)
out = []
for time_unix_ms, uptime, source in given[1]:
    out.append([c.set(time_unix_ms, uptime, source), c.source, c.at(uptime)])
"""
T = 1_800_000_000_000
HOUR = 3_600_000


def told(side, steps, earliest=None):
    return answer(side, CLOCK, [earliest, steps])


def test_a_provisioned_clock_says_at_least_that_and_nothing_earlier_sets_it(side):
    source = """
import clock
c = clock.Clock()
c.provision(given, 1000)
out = [c.source, c.at(1000), c.at(61000), c.set(given - 1, 2000, "gnss"), c.source, c.set(given, 2000, "ntp"), c.source]
"""
    assert answer(side, source, T) == ["provisioned", T, T + 60_000, None, "provisioned", True, "ntp"]


def test_a_better_source_is_believed_at_once_and_a_worse_one_passed_over(side):
    steps = [(T + HOUR, 10, "rtc"), (T, 20, "ntp"), (T + 1500, 30, "gnss"), (T, 40, "ntp"), (T + 9000, 50, "rtc")]
    assert told(side, steps, T - 1) == [
        [True, "rtc", T + HOUR],
        [True, "ntp", T],
        [True, "gnss", T + 1500],
        [None, "gnss", T + 1510],
        [None, "gnss", T + 1520],
    ]


def test_a_server_sets_the_clock_once_the_receiver_has_been_silent_for_an_hour(side):
    steps = [(T, 0, "gnss"), (T + HOUR, HOUR - 1, "ntp"), (T + HOUR, HOUR, "ntp"), (T + 2 * HOUR, 2 * HOUR, "rtc")]
    assert [row[:2] for row in told(side, steps)] == [[True, "gnss"], [None, "gnss"], [True, "ntp"], [None, "ntp"]]


@pytest.mark.parametrize(("source", "count"), [("gnss", 300), ("ntp", 3)])
def test_a_jump_is_believed_when_it_has_been_said_again_and_again(side, source, count):
    """So the first time of all may have been the wrong one."""
    steps = [(T + 86_400_000, 0, source)] + [(T + 1000 * i, 1000 * i, source) for i in range(1, count + 2)]
    rows = told(side, steps)
    assert [row[0] for row in rows] == [True] + [False] * (count - 1) + [True, True]
    assert rows[count - 1][2] == T + 86_400_000 + 1000 * (count - 1)
    assert rows[count][2] == T + 1000 * count


def test_jumps_that_do_not_agree_and_those_that_a_right_time_ends_are_never_believed(side):
    source = """
import clock
out = []
for every, more in ((2, (100000, 200000)), (10, (0,) + (50000,) * 9)):
    c = clock.Clock()
    c.set(given, 0, "gnss")
    for i in range(1, 1000):
        c.set(given + 1000 * i + more[i % every], 1000 * i, "gnss")
    out.append(c.at(0))
"""
    assert answer(side, source, T) == [T, T]


def test_what_a_crystal_drifts_in_a_silence_is_no_jump(side):
    # 100 ppm of ten hours are 3.6 s, and 2 s are no jump anyway.
    assert told(side, [(T, 0, "gnss"), (T + 10 * HOUR + 5600, 10 * HOUR, "gnss")])[1][0] is True
    assert told(side, [(T, 0, "gnss"), (T + 10 * HOUR + 5601, 10 * HOUR, "gnss")])[1][0] is False


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
