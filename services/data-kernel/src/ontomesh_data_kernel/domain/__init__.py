"""What the kernel does, apart from how it is called and where it stores."""
