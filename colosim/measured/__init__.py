"""Real QEMU COLO: the logs that QEMU writes, runs as they were measured, what is learnt of them.

Every log becomes the same typed events (``events``, ``stage_log``), both sides one record
(``merge``), that record the tables and the summary that a simulated run has (``imported``).
``measured`` has the tables that ship with colosim.  Nothing here imports pandas.
"""
