"""What we ask of the world, as Protocols; each docstring is the contract that every adapter is tested against."""
