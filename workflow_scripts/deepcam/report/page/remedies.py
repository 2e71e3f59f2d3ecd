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
        Markup("Delete these records and run again."),
    ),
    "rank_count": (
        Markup("Runs with another number of ranks"),
        Markup("Check <code>benchmark.launcher</code>, or <code>cluster.launcher</code> on a cluster."),
    ),
    "not_steady": (
        Markup("Runs of one start differ much, or later runs differ from earlier ones"),
        Markup(
            "Raise <code>benchmark.warmup_runs</code> or <code>benchmark.min_seconds</code>, and look for throttling."
        ),
    ),
    "background_cpu_load": (
        Markup("Other processes used too much of the job’s cores"),
        Markup(
            "Stop other work on the node. Then delete the folders of these configurations and run the same "
            "command again."
        ),
    ),
    "background_cpu_load_small": (
        Markup("Other processes used some of the job’s cores"),
        Markup("Usable, but imprecise. Measure again on a quiet machine before you compare small differences."),
    ),
    "run_seconds": (
        Markup("Runs shorter than <code>benchmark.min_seconds</code>"),
        Markup(
            "Raise <code>benchmark.warmup_runs</code> if it recurs. Then delete the folders of these "
            "configurations and run the same command again."
        ),
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
    "storage_local": (
        Markup("Storage has a cache that cannot be dropped from here"),
        Markup("Cold results may be too high. Use a dataset larger than that cache, or measure on the host."),
    ),
    "o_direct": (
        Markup("<code>dali-direct</code> read without O_DIRECT"),
        Markup("Use the versions that envs/ pins, or remove the reader from <code>benchmark.readers</code>."),
    ),
    "gpudirect_storage": (
        Markup("<code>dali-gds</code> fell back to cuFile’s compatibility mode"),
        Markup("Install and load nvidia-fs, or remove <code>dali-gds</code> from <code>benchmark.readers</code>."),
    ),
    "accuracy": (
        Markup("Engine misses the accuracy target"),
        Markup("Use a higher precision; see tables/accuracy.csv."),
    ),
    "homogeneous_nodes": (
        Markup("Nodes of different kinds"),
        Markup("Restrict the job to one kind of node with <code>cluster.partition</code>."),
    ),
    "record_consistent": (
        Markup("Records that contradict themselves"),
        Markup("They are damaged or were made up. Delete these records and run the same command again."),
    ),
    "record_digest": (
        Markup("Records that were edited after they were written"),
        Markup("Put the originals back, or delete these records and run the same command again."),
    ),
    "record_unverified": (
        Markup("Records without a digest"),
        Markup("Nothing says whether they were edited. Measure again with this version to verify the numbers."),
    ),
    "record_metrics": (
        Markup("Records whose metrics do not follow from their raw times"),
        Markup("This page has the metrics that do. Find out which program wrote the records."),
    ),
    "starts_distinct": (
        Markup("The same start in several files"),
        Markup("Delete the copies and run the same command again."),
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
