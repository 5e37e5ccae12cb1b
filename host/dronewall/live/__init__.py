"""The wall as it is now: broker, messages, what has been heard, simulated nodes."""
