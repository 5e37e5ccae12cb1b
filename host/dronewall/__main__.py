"""`python -m dronewall` is `dronewall`."""

from dronewall.cli import main

main(prog_name="dronewall")
