"""Where the domain meets the broker, the disk and the kernel."""
