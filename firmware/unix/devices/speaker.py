"""What devices that send on a UART have in common: something to say every so often, at the baud rate's room."""

import time


class Speaker:
    """`_say()` gives the bytes of one turn, every `_EVERY` ms; `_BAUD` is the rate that it speaks at."""

    def __init__(self, baud, room):
        self.waiting = b""
        self._wrong = baud != self._BAUD
        self._room = room
        self._last = time.ticks_ms()

    def hear(self, data):
        pass

    def run(self):
        """Brings `waiting` up to now."""
        now = time.ticks_ms()
        while time.ticks_diff(now, self._last) >= self._EVERY:
            self._last = time.ticks_add(self._last, self._EVERY)
            said = self._say()
            if self._wrong:
                said = bytes([byte * 7 & 0xFF | 0x80 for byte in said])
            self.waiting = (self.waiting + said)[: self._room]
