"""Statistics: counters, history, miss-ratio curve, hits from nginx's log."""
