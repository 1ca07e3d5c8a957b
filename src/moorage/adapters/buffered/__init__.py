"""Facts told at once, sent later: a buffer between those who boot and the timeline."""
