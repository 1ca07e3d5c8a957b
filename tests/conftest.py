"""For every test: no event loop but those that tests are run on."""

import asyncio

# Python 3.11 makes a loop for the first who asks for the current one. pytest-asyncio 1.5 asks after each synchronous
# test, to put it back, and never closes it: a ResourceWarning, which here is an error, in some later test.
asyncio.get_event_loop_policy().set_event_loop(None)
