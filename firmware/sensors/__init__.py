"""One driver a file, written from the data sheet it cites; the bus is passed in."""
