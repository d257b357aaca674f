"""Calculations that were made by hand, taken into a campaign."""
