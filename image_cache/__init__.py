"""VinylVault's engine: pictures kept close to the people who look at them."""

__version__ = "0.1.0"
