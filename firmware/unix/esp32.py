"""The board's `esp32` on the unix port: which pins wake a sleeping chip. `machine` looks at them while it sleeps."""

WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True

waking = ()  # pins, any of which wakes by being high


def wake_on_ext1(pins=None, level=WAKEUP_ANY_HIGH):
    """From now on these pins wake; None: none does. Of the levels only ANY_HIGH is played."""
    global waking
    if pins and not level:
        raise ValueError("only WAKEUP_ANY_HIGH is played here")
    waking = pins or ()
