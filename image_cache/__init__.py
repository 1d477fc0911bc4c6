"""VinylVault's engine: pictures kept close to the people who look at them."""
