"""Open vSwitch through its database: the seam `switch` fulfilled on a real bridge."""
