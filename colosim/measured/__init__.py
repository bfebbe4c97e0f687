"""Real QEMU COLO: runs as they were measured, and the logs that QEMU writes.

``measured`` has the tables that ship with colosim, ``rundir`` reads the run folders of the lab,
``log`` reads the plain trace log of any QEMU.  Nothing here imports pandas.
"""
