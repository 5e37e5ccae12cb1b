"""One virtual device a file: `Device` is what machine.py puts behind a bus or a UART."""
