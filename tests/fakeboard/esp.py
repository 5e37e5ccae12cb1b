"""The board's `esp`: how large its flash is."""

size = 0


def flash_size():
    return size
