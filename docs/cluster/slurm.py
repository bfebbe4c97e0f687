"""Dask workers as jobs of Slurm, for ``colosim sweep --scheduler ADDRESS``.

``python slurm.py 8`` starts a scheduler here and 8 jobs, prints the address, and stays until it is
interrupted; ``python slurm.py --dry-run`` prints what each job runs.  The environment with colosim
has to be the same on every node, as on a shared home.  Needs ``pip install 'colosim[dask]'
dask-jobqueue``.  For other queues there are PBSCluster, LSFCluster, SGECluster and HTCondorCluster.
"""

from __future__ import annotations

import sys
import time

from dask_jobqueue import SLURMCluster

if __name__ == "__main__":
    cluster = SLURMCluster(
        cores=16,
        processes=16,  # a run keeps a core busy; threads of Python would share one
        memory="32 GB",
        walltime="04:00:00",
        job_extra_directives=["--job-name=colosim"],
        death_timeout=120,
        scheduler_options={"dashboard_address": None},
    )
    if "--dry-run" in sys.argv:
        print(cluster.job_script())
    else:
        cluster.scale(jobs=int(sys.argv[1]))
        print(cluster.scheduler_address, flush=True)
        while True:
            time.sleep(60)
