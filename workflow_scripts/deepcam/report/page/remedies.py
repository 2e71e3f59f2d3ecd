"""What each failed check means on the results page, and its remedy. Both are HTML."""

from __future__ import annotations

from markupsafe import Markup

REMEDIES = {
    "every_sample_once": (
        Markup("Samples were not read exactly once per epoch"),
        Markup("The reader has a bug; report the record."),
    ),
    "run_count": (
        Markup("Records with fewer or more runs than asked for"),
        Markup("Measure again."),
    ),
    "rank_count": (
        Markup("Runs with another number of ranks"),
        Markup("Check <code>benchmark.launcher</code>, or <code>cluster.launcher</code> on a cluster."),
    ),
    "not_steady": (
        Markup("Runs within one start vary widely, or later runs differ from earlier ones"),
        Markup(
            "Raise <code>benchmark.warmup_runs</code> or <code>benchmark.min_seconds</code>, and look for throttling."
        ),
    ),
    "background_cpu_load": (
        Markup("Other processes used too much of the job’s cores"),
        Markup("Stop other work on the node, and measure again."),
    ),
    "background_cpu_load_small": (
        Markup("Other processes used some of the job’s cores"),
        Markup("Usable, but imprecise. Measure again on a quiet machine before you compare small differences."),
    ),
    "cpu_throttling": (
        Markup("The CPU quota of the container or job was used up during a run"),
        Markup("Raise or remove the quota (<code>--cpus</code>), or give the container whole cores."),
    ),
    "cpu_throttling_unknown": (
        Markup("Nothing says whether a CPU quota held the job back"),
        Markup("Mount the control groups (<code>/sys/fs/cgroup</code>) in the container, or start it without a quota."),
    ),
    "scheduling": (
        Markup("The job ran with another scheduling policy or priority than usual"),
        Markup("Start it without <code>nice</code> and <code>chrt</code>, and measure again."),
    ),
    "other_cores_busy": (
        Markup("Other programs kept the cores busy that the job did not use"),
        Markup("They share caches, memory and disks with the job. Stop them, and measure again."),
    ),
    "read_limit": (
        Markup("A control group limits how fast the job may read from a disk"),
        Markup("Remove the limit of the container or job (<code>--device-read-bps</code>), and measure again."),
    ),
    "starts_complete": (
        Markup("Records of earlier starts are missing"),
        Markup("Run the same command again, which measures what is missing."),
    ),
    "gpu_numa_node": (
        Markup("Ranks had cores of another NUMA node than their GPU’s"),
        Markup("Order <code>devices</code> by NUMA node, or bind the ranks with the launcher’s options."),
    ),
    "gpu_throttled": (
        Markup("A GPU lowered its clocks during a run, because of its power or its temperature"),
        Markup(
            "Check its power limit and its cooling with <code>nvidia-smi -q -d POWER,TEMPERATURE,PERFORMANCE</code>."
        ),
    ),
    "thread_cores": (
        Markup("Threads were bound to fewer cores than their rank had"),
        Markup("Find the library or program that binds them, with the check’s entry in docs/results.md."),
    ),
    "page_faults": (
        Markup("Memory was mapped again with every batch, which makes computing slower"),
        Markup(
            "The workflow sets glibc’s allocator so that this does not happen. Start programs by hand with "
            "<code>python -m keep_heap</code>, and remove other settings from GLIBC_TUNABLES."
        ),
    ),
    "run_seconds": (
        Markup("Runs shorter than <code>benchmark.min_seconds</code>"),
        Markup("Raise <code>benchmark.warmup_runs</code> if it recurs, and measure again."),
    ),
    "residency_cold": (
        Markup("Files in the page cache before a cold run"),
        Markup("Stop the process that reads them. On tmpfs, move <code>data.dir</code> to another file system."),
    ),
    "residency_warm": (
        Markup("Files missing from the page cache before a warm run"),
        Markup("Use fewer samples or more memory."),
    ),
    "bytes_read_from_storage": (
        Markup("Bytes did not come from where they should"),
        Markup("See the check’s entry in docs/results.md."),
    ),
    "bytes_read_from_servers": (
        Markup("The network file system fetched less from its servers than was read"),
        Markup("Something on this node caches the data. See the check’s entry in docs/results.md."),
    ),
    "reads_not_proved": (
        Markup("Cold reads are not proved: nothing here counts the bytes that storage delivered"),
        Markup("Compare the throughput with the counters of the storage itself."),
    ),
    "storage_in_memory": (
        Markup("The files are in memory, although the page cache is cold"),
        Markup("Move <code>data.dir</code> to a disk, or mount the image with <code>losetup --direct-io=on</code>."),
    ),
    "background_storage_load": (
        Markup("Other processes had more than half of the disks’ traffic"),
        Markup("Stop other work on these disks, and measure again."),
    ),
    "background_storage_load_small": (
        Markup("Other processes used the same disks"),
        Markup("Usable, but imprecise. Measure again on quiet disks before you compare small differences."),
    ),
    "storage_local": (
        Markup("Storage may have a cache that cannot be dropped from here"),
        Markup("Cold results may be too high. Use a dataset larger than that cache, or measure on the host."),
    ),
    "o_direct": (
        Markup("<code>dali-direct</code> read without O_DIRECT"),
        Markup("Use the versions that envs/ pins, or remove the reader from <code>benchmark.readers</code>."),
    ),
    "gpudirect_storage": (
        Markup("<code>dali-gds</code> did not read all data past host memory"),
        Markup("See cufile.log, or remove <code>dali-gds</code> from <code>benchmark.readers</code>."),
    ),
    "accuracy": (
        Markup("Engine misses the accuracy target"),
        Markup("Use a higher precision; see tables/accuracy.csv."),
    ),
    "delivered_bytes": (
        Markup("Samples that readers delivered differ from their files"),
        Markup(
            "The reader has a bug, or the files changed during the run. Run <code>snakemake verify</code>; "
            "if it finds no damaged file, report the record."
        ),
    ),
    "read_calls": (
        Markup("Read calls returned fewer bytes during the runs than the samples have"),
        Markup("The reader reads before the clock starts, or keeps samples from an earlier pass. Report the record."),
    ),
    "masks": (
        Markup("Masks differ from others of the same samples"),
        Markup("The engine ran before its batch was complete, or it is not deterministic. Report the record."),
    ),
    "judged_masks": (
        Markup("Masks differ from those that the accuracy check judged"),
        Markup(
            "The engine computes differently in the benchmark or at this batch size, so its accuracy is unknown. "
            "Report the record."
        ),
    ),
    "engine_file": (
        Markup("The engine that ran is not the one whose accuracy was checked"),
        Markup(
            "Delete the engine’s folder in <code>results/accuracy</code> and the folders of these configurations, and "
            "run the same command again."
        ),
    ),
    "engine_judged": (
        Markup("The accuracy of the engine was not judged"),
        Markup("Run the workflow, or give <code>--accuracy-files</code>."),
    ),
    "homogeneous_nodes": (
        Markup("Nodes of different kinds"),
        Markup("Restrict the job to one kind of node with <code>cluster.partition</code>."),
    ),
    "record_consistent": (
        Markup("Records that contradict themselves"),
        Markup("They are damaged or were made up. Measure again."),
    ),
    "record_digest": (
        Markup("Records that were edited after they were written"),
        Markup("Put the originals back, or measure again."),
    ),
    "record_unverified": (
        Markup("Records without a digest"),
        Markup("Nothing says whether they were edited. Measure again with this version to verify the numbers."),
    ),
    "record_metrics": (
        Markup("Records whose metrics do not follow from their raw times"),
        Markup(
            "This page shows metrics that were computed from the raw times. Find out which program wrote the records."
        ),
    ),
    "record_date": (
        Markup("Records with an impossible date"),
        Markup(
            "Correct the clock of this machine, or of the one that measured. If both are right, the records were "
            "edited."
        ),
    ),
    "record_complete": (
        Markup("Records without fields that this version always fills"),
        Markup("They were edited. Measure again."),
    ),
    "machine_lock": (
        Markup("Another benchmark could have run on the machine at the same time"),
        Markup("Give the container the host’s network (<code>make image-run</code> does), or run one at a time."),
    ),
    "disk_traffic": (
        Markup("The disks counted less traffic than was read from them"),
        Markup("Turn on the disks’ statistics (<code>queue/iostats</code>). See the check’s entry in docs/results.md."),
    ),
    "starts_distinct": (
        Markup("The same run in several files, or several times in a file"),
        Markup("Delete the copies and run the same command again."),
    ),
    "starts_alike": (
        Markup("Starts of one configuration with other settings or samples"),
        Markup("Measure again."),
    ),
    "starts_in_order": (
        Markup("Starts whose dates contradict their rounds"),
        Markup("The clock was set back, or records come from another run. In the second case, measure again."),
    ),
    "bottleneck": (
        Markup("End-to-end faster than its lower limit by more than 10 %"),
        Markup("The machine’s speed changed between runs. Measure again on a quiet machine, with more starts."),
    ),
}
"""Name of the check: what is wrong with its configurations, and what to do."""
