"""The prescreen: a cheap model relaxes every configuration and chooses which go on to DFT."""
