"""How the kernel is called."""
