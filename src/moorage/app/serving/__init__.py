"""One file a service: how it is put together, alike in a process of its own and in the all-in-one."""
