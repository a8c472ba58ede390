"""What every command shares: typed flags, presets, help, launching, runs and sweeps of them."""
