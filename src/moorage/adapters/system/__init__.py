"""What the operating system itself gives us: its clock."""
