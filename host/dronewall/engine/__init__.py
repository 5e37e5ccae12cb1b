"""The engine: from frusta and terrain to detection probability and gaps. Pure: no clock, no socket, no picture."""
