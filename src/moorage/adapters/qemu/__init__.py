"""The hypervisor by QEMU itself, spoken to by QMP; no libvirt."""
