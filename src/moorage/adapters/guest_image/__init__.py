"""The small guest moorage-guest, built on this machine from Debian's packages: nothing prebuilt is shipped."""
