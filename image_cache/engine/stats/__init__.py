"""Statistics of the engine: counters, history, miss-ratio curve, hits from nginx's log."""
