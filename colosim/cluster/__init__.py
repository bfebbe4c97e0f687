"""The cluster manager: what watches both hosts from outside QEMU, and acts."""
