# Where the workflow's files are. Included before all else, by a relative path, which works on a git host, too.
import contextlib
import os
import subprocess
import tempfile


def checkout(source):
    """The folder of this workflow, which its programs need. What Snakemake reads from a git host gets a clone."""
    if hasattr(source, "__fspath__"):
        return os.fspath(source)
    repository = os.fspath(source.hosted_repo.repo_clone)
    revision = ["git", "-C", repository, "rev-parse", f"{source.ref}^{{commit}}"]
    commit = subprocess.check_output(revision, text=True).strip()
    folder = os.path.abspath(f".snakemake/deepcam-{commit}")
    if not os.path.exists(folder):
        os.makedirs(".snakemake", exist_ok=True)
        with tempfile.TemporaryDirectory(dir=".snakemake") as temporary:
            clone = f"{temporary}/clone"
            subprocess.check_call(["git", "clone", "--quiet", "--no-checkout", repository, clone])
            subprocess.check_call(["git", "-C", clone, "checkout", "--quiet", "--detach", commit])
            with contextlib.suppress(OSError):  # another Snakemake was first
                os.rename(clone, folder)
    return folder
