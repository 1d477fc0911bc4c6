"""A whole arm64 Debian with systemd as process 1 and the memory of a small Raspberry Pi, emulated: `make rehearse-pi`."""
