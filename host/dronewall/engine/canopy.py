"""What a canopy leaves of a straight line of sight: exp(-path / extinction) (Remote Sensing 2021, 13(21), 4455).

The path is the length of the straight line, in metres, that lies under the canopy's top: canopy and ground are linear
along each grid line, raised by the earth's curvature as in `viewshed`, and linear between two crossings with the grid.
With `exact=True` it is marched from the target to the eye, for each cell anew. Without, a fan of rays is marched
outward once and every cell asks the two beside it (`fan.py`); where these two differ much the cell marches after all.

           .--------------.
          /  T........     \\          . . E    what counts of the line from the target T to the eye E is the part
         /            ......\\. . . .            under the top; the rest is free, until it meets another canopy
"""

import math

import numpy as np
import numpy.typing as npt

from dronewall.engine._jit import njit
from dronewall.engine.fan import HIGHEST, NEAR, STEP, UNDECIDED, sweep
from dronewall.engine.terrain import BLOCK, Terrain

Floats = npt.NDArray[np.float64]

_DARK = 7.0
"""A path of so many extinctions leaves less than a thousandth: it counts as dark."""

_DIM = 5.8
"""The same for the fan: less than three thousandths."""

_SHIFT = BLOCK.bit_length() - 1


def left(
    terrain: Terrain,
    x: float,
    y: float,
    eye_amsl: float,
    row: int,
    col: int,
    target_agl: Floats,
    bend: float,
    *,
    exact: bool = False,
) -> Floats:
    """Share of light (north, east) that the canopy leaves on the way from targets of a window to the eye.

    x, y: the eye in cells from the middle of the raster's first cell. target_agl (north, east): heights above the
    ground [m] of the window whose first cell is (row, col); nan where the answer is not wanted, which is nan then.
    bend: (1 - k) / 2R. What blocks is not looked at. exact: each cell's own line, and less than a thousandth counts as
    0; else the fan's answer, where less than three thousandths do, but for cells next to the eye, those that the fan
    leaves undecided, and an eye outside the raster: these are marched.
    """
    asked = np.ascontiguousarray(target_agl, dtype=np.float64)
    if terrain.canopy_amsl is None or not asked.size:
        return np.where(np.isnan(asked), np.nan, 1.0)
    shares = np.full(asked.shape, np.nan)
    most = (_DARK if exact else _DIM) * terrain.canopy_extinction
    _answer(terrain, x, y, eye_amsl, row, col, asked, bend, most, False, exact, shares)
    return shares


def reached(
    terrain: Terrain,
    x: float,
    y: float,
    eye_amsl: float,
    row: int,
    col: int,
    heights: Floats,
    bend: float,
    transmittance: float,
    *,
    exact: bool = False,
) -> Floats:
    """Heights (north, east) above the ground [m], `heights` or more, at which the canopy leaves so much of the light.

    inf and nan stay; inf where no height reaches it. exact: good to 0.05 m, and never too low; else as good as the fan,
    which is as often too low. Arguments as for `left`.
    """
    risen = np.array(heights, dtype=np.float64)
    if terrain.canopy_amsl is not None and risen.size:
        most = -math.log(transmittance) * terrain.canopy_extinction
        _answer(terrain, x, y, eye_amsl, row, col, risen.copy(), bend, most, True, exact, risen)
    return risen


def _answer(
    terrain: Terrain,
    x: float,
    y: float,
    eye_amsl: float,
    row: int,
    col: int,
    asked: Floats,
    bend: float,
    most: float,
    as_height: bool,
    exact: bool,
    answers: Floats,
) -> None:
    """Fills `answers` where `asked` is finite: shares, or heights."""
    assert terrain.canopy_amsl is not None
    ground, canopy, blocks = terrain.ground_amsl, terrain.canopy_amsl, terrain.canopy_tops
    top, tall = _between(ground, canopy, x, y)
    rows, cols = slice(0, asked.shape[0]), slice(0, asked.shape[1])
    # An eye outside the raster has no column to march from.
    if not exact and -0.5 <= x <= ground.shape[1] - 0.5 and -0.5 <= y <= ground.shape[0] - 0.5:
        sweep(
            ground, canopy, x, y, terrain.cell, eye_amsl, top, top - tall, bend, terrain.canopy_extinction, most,
            as_height, row, col, asked, answers,
        )  # fmt: skip
        rows, cols = (
            slice(max(math.ceil(at - NEAR) - first, 0), max(math.floor(at + NEAR) - first + 1, 0))
            for at, first in ((y, row), (x, col))
        )
    marched = np.ascontiguousarray(asked[rows, cols])
    if marched.size and as_height:
        _climb(
            ground, canopy, blocks, terrain.cell, x, y, eye_amsl, bend, row + rows.start, col + cols.start, most,
            marched,
        )  # fmt: skip
        answers[rows, cols] = marched
    elif marched.size:
        answers[rows, cols] = np.where(np.isfinite(marched), UNDECIDED, marched)
    if not as_height:
        _settle(
            ground, canopy, blocks, terrain.cell, x, y, eye_amsl, bend, row, col, asked,
            _DARK * terrain.canopy_extinction, terrain.canopy_extinction, answers,
        )  # fmt: skip


@njit()
def _between(ground: Floats, canopy: Floats, x: float, y: float) -> tuple[float, float]:
    """Height of the canopy's top and the canopy's own height, bilinear, level over the outer half cells."""
    rows, cols = ground.shape
    x, y = min(max(x, 0.0), cols - 1.0), min(max(y, 0.0), rows - 1.0)
    low_col, low_row = int(math.floor(x)), int(math.floor(y))
    right, above = x - low_col, y - low_row
    top, foot = 0.0, 0.0
    for i in range(2):
        for j in range(2):
            weight = (above if i == 1 else 1.0 - above) * (right if j == 1 else 1.0 - right)
            if weight > 0.0:
                top += weight * canopy[low_row + i, low_col + j]
                foot += weight * ground[low_row + i, low_col + j]
    return top, top - foot


@njit()
def _path(
    ground: Floats,
    canopy: Floats,
    blocks: Floats,
    cell: float,
    x: float,
    y: float,
    eye: float,
    eye_over: float,
    eye_tall: float,
    bend: float,
    row: int,
    col: int,
    target: float,
    most: float,
) -> float:
    """Metres of the line from `target` [m AMSL] over a cell to the eye that lie in the canopy; stops beyond `most`.

    blocks: the highest top of each block of squares. eye_over: of the eye over the canopy's top; eye_tall: the canopy's
    height there.
    """
    rows, cols = ground.shape
    dx, dy = col - x, row - y
    square = (dx * dx + dy * dy) * cell * cell
    slant = math.sqrt(square + (target - eye) ** 2)
    bulge = square * bend
    step_x = 1.0 / abs(dx) if dx != 0.0 else math.inf
    step_y = 1.0 / abs(dy) if dy != 0.0 else math.inf
    count_x, count_y = 1, 1
    block_x, block_y = -1, -1
    path, share, line = 0.0, 1.0, target
    over, tall = target - canopy[row, col], canopy[row, col] - ground[row, col]
    while share > 0.0 and path <= most:
        before, free = share, False
        # A step into the square that comes next.
        at_x, at_y = x + (share - 1e-9) * dx, y + (share - 1e-9) * dy
        new_x = min(max(int(math.floor(at_x)) >> _SHIFT, 0), blocks.shape[1] - 1)
        new_y = min(max(int(math.floor(at_y)) >> _SHIFT, 0), blocks.shape[0] - 1)
        if new_x != block_x or new_y != block_y:
            block_x, block_y = new_x, new_y
            leave_x, leave_y = -math.inf, -math.inf
            if dx != 0.0:
                leave_x = (((block_x if dx > 0.0 else block_x + 1) << _SHIFT) - x) / dx
            if dy != 0.0:
                leave_y = (((block_y if dy > 0.0 else block_y + 1) << _SHIFT) - y) / dy
            leave = max(leave_x, leave_y, 0.0)
            if leave < share:
                there = eye + leave * (target - eye) - leave * (1.0 - leave) * bulge
                # Between two of its points the line sags below its chord by no more than this.
                sag = (share - leave) ** 2 * bulge / 4.0
                free = min(line, there) - sag >= blocks[block_y, block_x]
                if free and leave <= 1e-12:
                    break
        if free:
            share = leave
            is_column = leave_x >= leave_y
            count_x = int(math.floor((1.0 - share) * abs(dx) + 1e-9)) + 1
            count_y = int(math.floor((1.0 - share) * abs(dy) + 1e-9)) + 1
        else:
            share_x, share_y = 1.0 - count_x * step_x, 1.0 - count_y * step_y
            is_column = share_x >= share_y
            share = share_x if is_column else share_y
            # Through the middle of a cell it crosses both families at once.
            if share_x >= share - 1e-12:
                count_x += 1
            if share_y >= share - 1e-12:
                count_y += 1
        if share <= 1e-12:
            share, next_over, next_tall = 0.0, eye_over, eye_tall
        else:
            if is_column:
                here, across = int(round(x + share * dx)), min(max(y + share * dy, 0.0), rows - 1.0)
            else:
                here, across = int(round(y + share * dy)), min(max(x + share * dx, 0.0), cols - 1.0)
            low = int(math.floor(across))
            part = across - low
            if is_column:
                foot, top = ground[low, here], canopy[low, here]
                if part > 0.0:
                    foot += part * (ground[low + 1, here] - foot)
                    top += part * (canopy[low + 1, here] - top)
            else:
                foot, top = ground[here, low], canopy[here, low]
                if part > 0.0:
                    foot += part * (ground[here, low + 1] - foot)
                    top += part * (canopy[here, low + 1] - top)
            line = eye + share * (target - eye) - share * (1.0 - share) * bulge
            next_over, next_tall = line - top, top - foot
        if not free and (over < 0.0 or next_over < 0.0) and (tall > 0.0 or next_tall > 0.0):
            under = 1.0
            if over >= 0.0:
                under = next_over / (next_over - over)
            elif next_over >= 0.0:
                under = over / (over - next_over)
            path += under * (before - share) * slant
        over, tall = next_over, next_tall
    return path


@njit()
def _settle(
    ground: Floats,
    canopy: Floats,
    blocks: Floats,
    cell: float,
    x: float,
    y: float,
    eye: float,
    bend: float,
    first_row: int,
    first_col: int,
    target_agl: Floats,
    most: float,
    extinction: float,
    shares: Floats,
) -> None:
    """Fills `shares` where they are UNDECIDED."""
    top, tall = _between(ground, canopy, x, y)
    for i in range(shares.shape[0]):
        for j in range(shares.shape[1]):
            if shares[i, j] == UNDECIDED:
                row, col = first_row + i, first_col + j
                path = _path(
                    ground, canopy, blocks, cell, x, y, eye, eye - top, tall, bend, row, col,
                    ground[row, col] + target_agl[i, j], most,
                )  # fmt: skip
                shares[i, j] = math.exp(-path / extinction) if path <= most else 0.0


@njit()
def _climb(
    ground: Floats,
    canopy: Floats,
    blocks: Floats,
    cell: float,
    x: float,
    y: float,
    eye: float,
    bend: float,
    first_row: int,
    first_col: int,
    most: float,
    heights: Floats,
) -> None:
    """Raises `heights` to where at most `most` metres of canopy are on the way."""
    top, tall = _between(ground, canopy, x, y)
    last = 0.0
    for i in range(heights.shape[0]):
        row = first_row + i
        for j in range(heights.shape[1]):
            if not math.isfinite(heights[i, j]):
                continue
            col = first_col + j
            foot, least = ground[row, col], heights[i, j]
            # The neighbour's answer is the first guess; from there in doubling steps to the other side of the answer.
            low, high, step = -math.inf, math.inf, 0.5
            guess = least
            while True:
                path = _path(
                    ground, canopy, blocks, cell, x, y, eye, eye - top, tall, bend, row, col, foot + guess, most
                )
                if path <= most:
                    high = guess
                    if guess <= least:
                        break
                else:
                    low = guess
                    if guess > HIGHEST:
                        break
                if low > -math.inf and high < math.inf:
                    if high - low <= STEP:
                        break
                    guess = (low + high) / 2.0
                elif guess == least and last > least:
                    guess = last
                else:
                    guess = max(guess - step, least) if high < math.inf else guess + step
                    step *= 2.0
            heights[i, j] = high
            if least < high < math.inf:
                last = high
