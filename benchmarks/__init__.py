"""What VinylVault costs: time, memory, bytes written. `python -m benchmarks` runs all of it; figures worth keeping are in RESULTS.md."""
