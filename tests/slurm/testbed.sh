#!/bin/bash
# A real Slurm of two nodes, n1 and n2, on this one machine, with PMIx for MPI across both. Each counts two GPUs, which
# are /dev/null and /dev/zero:
#
#     tests/slurm/testbed.sh up FOLDER
#     tests/slurm/testbed.sh down FOLDER
#
# Needs root and Debian's slurm-wlm, munge and libpmix-dev (Slurm opens libpmix.so, which libpmix2 alone lacks). All that
# it makes is in FOLDER, but for /etc/slurm: the executor plugin drops SLURM_CONF, so the configuration must be there.
set -euo pipefail

fail() {
    echo "error: $1" >&2
    exit 1
}

[ $# = 2 ] || { sed -n 2,9p "$0" && exit 2; }
folder=$(realpath -m "$2")
configuration=/etc/slurm
mark="# Written by the test bed in $folder"
daemons=(slurmd-n1 slurmd-n2 slurmctld munged)
PATH=$PATH:/usr/sbin

own() { # is there a configuration, and is it this test bed's?
    [ "$(head -n 1 "$configuration/slurm.conf" 2> /dev/null)" = "$mark" ]
}

write_configuration() {
    mkdir -p "$configuration"
    cat > "$configuration/slurm.conf" << EOF
$mark
ClusterName=testbed
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=2,batch_sched_delay=0
GresTypes=gpu
SelectType=select/cons_tres
# Packs a job's tasks on as few nodes as hold them, unless told otherwise: the hardest of clusters to spread ranks on.
SelectTypeParameters=CR_Core,CR_Pack_Nodes
KillWait=2
ReturnToService=2
# The nodes below need not be what the machine is.
SlurmdParameters=config_overrides
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
# Both nodes share this machine's disk: without a folder each, their PMIx folders collide.
TmpFS=$folder/tmp/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
NodeName=n[1-2] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=8 RealMemory=16000 \
    Gres=gpu:2 Features=nvme
PartitionName=main Nodes=n[1-2] Default=YES
EOF
    printf '%s\n' "$mark" 'Name=gpu File=/dev/null' 'Name=gpu File=/dev/zero' > "$configuration/gres.conf"
    printf '%s\n' "$mark" 'CgroupPlugin=cgroup/v1' 'CgroupAutomount=no' > "$configuration/cgroup.conf"
}

# A test bed that was killed leaves its configuration behind.
remove_leftovers() {
    other=$(head -q -n 1 "$configuration"/{slurm,gres,cgroup}.conf 2> /dev/null |
        sed -n 's/^# Written by the test bed in //p' | head -n 1) || true
    [ -n "$other" ] && [ "$other" != "$folder" ] || return 0
    for daemon in "${daemons[@]}"; do
        pid=$(cat "$other/run/$daemon.pid" 2> /dev/null) || continue
        ! kill -0 "$pid" 2> /dev/null || fail "another test bed runs; stop it with: $0 down $other"
    done
    rm -f "$configuration"/{slurm,cgroup,gres}.conf
}

up() {
    remove_leftovers
    for file in "$configuration"/{slurm,cgroup,gres}.conf; do
        [ ! -e "$file" ] || own || fail "$file is not this test bed's: a machine of a real cluster is left alone"
    done
    own && down
    mkdir -p "$folder"/{munge,run,state,log,spool/n1,spool/n2,tmp/n1,tmp/n2}
    write_configuration
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge/key")
    munged --force --socket="$folder/munge/socket" --key-file="$folder/munge/key" --seed-file="$folder/munge/seed" \
        --log-file="$folder/log/munged.log" --pid-file="$folder/run/munged.pid"
    slurmctld
    slurmd -N n1
    slurmd -N n2
    for _ in $(seq 60); do
        [ "$(sinfo -h -o '%T %D' 2> /dev/null)" != "idle 2" ] || return 0
        sleep 0.5
    done
    fail "the two nodes do not come up; see $folder/log"
}

down() {
    own || fail "$configuration/slurm.conf is not this test bed's; nothing is stopped"
    scancel --user=root 2> /dev/null || true
    for _ in $(seq 60); do
        [ -n "$(squeue -h 2> /dev/null)" ] || break
        sleep 0.5
    done
    for daemon in "${daemons[@]}"; do
        stop "$folder/run/$daemon.pid"
    done
    rm -f "$configuration"/{slurm,cgroup,gres}.conf
    rmdir --ignore-fail-on-non-empty "$configuration"
    rm -rf "$folder"
}

stop() { # the daemon that a file names, and wait until it is gone
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2> /dev/null || return 0
    while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
}

case $1 in
up | down) "$1" ;;
*) fail "$1: neither up nor down" ;;
esac
