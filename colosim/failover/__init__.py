"""Failover: the state machine inside QEMU, and the cluster manager outside it."""
