"""The wantlist: records that someone wants and does not have."""
