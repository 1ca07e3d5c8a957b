"""Tools that know nothing of clouds: tasks, trying again (stamina), an HTTP API's edge as OpenStack has it (Falcon)."""
