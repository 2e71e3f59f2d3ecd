#!/bin/bash
# The README's commands on a machine that has only what the README asks for: a minimal Debian, in a folder. They run as
# an ordinary user. One run has the default grid on HDF5 files of somebody else, which must stay as they are.
#
#     tests/fresh_machine.sh FOLDER [PATH...]
#
# Needs root, debootstrap and about 9 GB in FOLDER, which must not exist and stays for a look. Debian's release and
# mirror are those of this machine's apt. PIP_* variables are handed in; PATHs, such as a folder of wheels that these
# name, are mounted there read-only.
set -euo pipefail

fail() {
    echo "error: $1" >&2
    exit 1
}

[ $# -ge 1 ] || { sed -n 2,9p "$0" && exit 2; }
[ "$(id -u)" = 0 ] || fail "debootstrap and chroot need root"
command -v debootstrap > /dev/null || fail "debootstrap is missing: apt-get install debootstrap"
[ ! -e "$1" ] || fail "$1 exists; name a folder that does not"
project=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
root=$(realpath -m "$1")
shift
packages=python3,python3-venv,make,g++,ca-certificates
home=/home/user
site="/srv/climate data"

# Inside mount and process namespaces of its own: whatever happens, no mount and no process is left behind.
enter() {
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 command=$2
        shift 2
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        mount -t proc proc "$root/proc"
        for path in "$@"; do
            mkdir -p "$root$path"
            mount --bind "$path" "$root$path"
            mount -o remount,bind,ro "$root$path"
        done
        exec chroot --userspec=1000:1000 "$root" env -i HOME='"$home"' LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            '"$(pip_settings)"' bash -euc "cd ~/project; $command"
    ' enter "$root" "$@"
}

pip_settings() {
    for name in $(compgen -v PIP_); do
        printf '%q ' "$name=${!name}"
    done
}

step() { # name, command...
    local name=$1 started=$SECONDS before
    before=$(received)
    shift
    "$@"
    report+=("$name: $((SECONDS - started)) s, $(($(received) - before)) MiB received")
}

received() { # MiB over the network so far, by whatever on this machine
    awk 'NR > 2 && !/^ *lo:/ { bytes += $2 } END { printf "%d", bytes / 2^20 }' /proc/net/dev
}

state() { # hashes of all files of the site; type, permissions, owner, size and times of all that is there
    (
        cd "$root$site"
        find . -type f -exec sha256sum {} + | sort
        find . -printf '%p %y %m %U:%G %s %n %i %T@ %C@\n' | sort
    )
}

run_on_data_of_the_site() { # PATH...
    local made untouched results="$root$home/project/results"
    chroot "$root" "$home/project/.venv/bin/python" "$home/project/tests/foreign_samples.py" "$site"
    chmod --recursive a-w "$root$site"
    echo "data: {source: \"$site\"}" > "$root$home/project/site.yaml"
    untouched=$(state)
    enter 'make run ARGS="--configfile site.yaml"' "$@"
    diff <(echo "$untouched") <(state) || fail "$site has changed"
    for made in summary.html report/report.html tables/summary.csv figures/{bottleneck,io_throughput}.{svg,png}; do
        [ -s "$results/$made" ] || fail "the run has not made results/$made"
    done
    page=$(chroot "$root" python3 -c 'if True:
        import json, sys
        page = json.load(open(sys.argv[1]))
        print(page["verdict"]["title"], page["provenance"]["dataset"], sep="; ", end="; ")
        print(page["valid"], "of", page["configurations"], "configurations are valid")
        ' "$home/project/results/result.json")
}

read -r release mirror < <(
    . /etc/os-release
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' | grep "^$VERSION_CODENAME "
)
report=("Debian $release, $(nproc) cores, $(git -C "$project" describe --always --dirty)")
trap 'printf "%s\n" "${report[@]}"' EXIT
step "debootstrap" debootstrap --variant=minbase --include="$packages" "$release" "$root" "$mirror" > "$root.log"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
chroot "$root" useradd --uid 1000 --create-home --home-dir "$home" user
git clone --quiet "$project" "$root$home/project"
chown --recursive 1000:1000 "$root$home/project"
step "make venv" enter "make venv" "$@"
report+=("environment: $(du --summarize --block-size=1M "$root$home/project/.venv" | cut -f 1) MiB on disk")
step "make run, tiny" enter 'make run ARGS="--configfile config/tiny.yaml"' "$@"
step "make run, data of the site" run_on_data_of_the_site "$@"
report+=("its page: $page")
step "make test" enter "make test" "$@"
