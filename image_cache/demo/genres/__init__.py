"""Families of sleeves by genre: each module enters its recipes into the registry."""
