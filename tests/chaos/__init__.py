"""The crash sweep: every part killed at every hop of a boot, then a seeded schedule of many deaths, then the proof."""
