#!/bin/sh
# Makes a Python virtual environment with the packages of one or more requirements files:
#
#     envs/bootstrap.sh VENV_DIR REQUIREMENTS_FILE...
#
# Files whose packages have hashes are installed first, together. pip then refuses a package whose hash differs. It also
# refuses a package without a hash, so the other files are installed after that, in a call of their own.
#
# Checks first that the machine has what the benchmark needs; when something is missing, the first line printed says
# what and how to get it. After a success VENV_DIR/.installed holds the sha256 of the requirements files used (the files
# given and those they include), so that the next call with some or all of them, unchanged, does nothing.
#
# PYTHON is the interpreter to use (python3 unless set), CXX the C++ compiler (g++ or c++ unless set).
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 VENV_DIR REQUIREMENTS_FILE..." >&2
    exit 2
fi
venv=$1
shift
python=${PYTHON:-python3}

fail() {
    printf 'bootstrap: %s\n' "$1" >&2
    exit 1
}

missing() { # what is wrong, Debian's packages, Fedora's packages
    fail "$1; install it with 'apt-get install $2' (Debian, Ubuntu) or 'dnf install $3' (Fedora)"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Prints the path of a requirements file and, in turn, of each file that it includes.
requirement_files() (
    [ -f "$1" ] && [ -r "$1" ] || fail "the requirements file $1 does not exist or cannot be read"
    printf '%s\n' "$1"
    directory=$(dirname "$1")
    sed -n -e 's/[[:space:]]\{1,\}#.*$//' -e 's/[[:space:]]*$//' \
        -e 's/^[[:space:]]*-[rc][[:space:]]*//p' \
        -e 's/^[[:space:]]*--requirement[[:space:]=]*//p' \
        -e 's/^[[:space:]]*--constraint[[:space:]=]*//p' "$1" |
        while IFS= read -r included; do
            case $included in
            /*) ;;
            *) included=$directory/$included ;;
            esac
            requirement_files "$included" || exit 1
        done
)

# Prints a hash of each file that has hashes, of a requirements file and those that it includes.
a_hash() {
    requirement_files "$1" | while IFS= read -r file; do sed -n '/--hash=/{p;q;}' "$file"; done
}

# Installs those of the files that are hashed, or those that are not.
install() {
    kind=$1
    shift
    for requirements in "$@"; do
        found=unhashed
        [ -z "$(a_hash "$requirements")" ] || found=hashed
        [ "$found" != "$kind" ] || set -- "$@" -r "$requirements"
        shift
    done
    [ $# -eq 0 ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

is_installed() {
    [ -x "$venv/bin/python" ] && [ -f "$venv/.installed" ] || return 1
    installed=$(cat "$venv/.installed")
    for digest in $digests; do
        case $installed in
        *"$digest"*) ;;
        *) return 1 ;;
        esac
    done
}

check_python() {
    has "$python" || missing "$python is not found (Python 3.11 or newer is needed, PYTHON names another one)" \
        "python3 python3-venv" "python3"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null |
        sed -n 's/^[^0-9]*\([0-9]\{1,\}\)\.\([0-9]\{1,\}\).*$/\1 \2/p;q')
    case $version in
    [0-9]*) ;;
    *) missing "$python does not run (Python 3.11 or newer is needed, PYTHON names another one)" \
        "python3 python3-venv" "python3" ;;
    esac
    major=${version% *}
    minor=${version#* }
    if [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt 11 ]; }; then
        missing "$python is Python $major.$minor, too old (3.11 or newer is needed, PYTHON names another one)" \
            "python3 python3-venv" "python3"
    fi
    "$python" -c 'import ensurepip, venv; ensurepip.version()' >/dev/null 2>&1 ||
        missing "$python cannot make virtual environments (its modules venv and ensurepip do not work)" \
            "python3-venv" "python3"
}

# pip downloads into the temporary folder first. The sizes are those of the packages for CPUs, the least that is needed.
check_room() {
    fault=$("$python" - "$venv" 2>&1 <<'END'
import os, shutil, sys, tempfile
venv = os.path.abspath(sys.argv[1])
while not os.path.exists(venv):
    venv = os.path.dirname(venv)
if os.statvfs(venv).f_flag & os.ST_NOEXEC:
    sys.exit(f"{venv} is mounted noexec, so no package in it could run; name a folder elsewhere")
try:
    temporary = tempfile.gettempdir()
except OSError:
    sys.exit("no temporary folder can be written; set TMPDIR to one that can")
for folder, least, cure in (venv, 3, "name another folder"), (temporary, 1, "set TMPDIR to another folder"):
    free = shutil.disk_usage(folder).free / 1e9
    if free < least:
        sys.exit(f"{folder} has {free:.1f} GB free, but the packages take at least {least} GB; make room or {cure}")
END
    ) || fail "$fault"
}

check_compiler() {
    if [ -n "${CXX:-}" ]; then
        # The first word: CXX may hold options, too.
        has "${CXX%% *}" || missing "the C++ compiler that CXX names, $CXX, is not found (unset CXX or set another)" \
            "g++" "gcc-c++"
    else
        has g++ || has c++ || missing "no C++ compiler is found (g++ or c++, CXX names another one)" "g++" "gcc-c++"
    fi
}

check_flock() {
    has flock || missing "flock (of util-linux) is not found" "util-linux" "util-linux"
}

files=$(for requirements in "$@"; do requirement_files "$requirements" || exit 1; done)
digests=$(printf '%s\n' "$files" | while IFS= read -r file; do sha256sum <"$file" | cut -d ' ' -f 1; done)

# What runs the benchmark later, not only the install, needs the compiler and flock: they are looked for every time.
is_installed || { check_python && check_room; }
check_compiler
check_flock
is_installed && exit 0

# Never take over a directory that holds something else.
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ] && [ ! -e "$venv/.installing" ]; then
    [ -d "$venv" ] || fail "$venv is not a directory"
    [ -z "$(find "$venv" -mindepth 1 -maxdepth 1 ! -name .lock)" ] ||
        fail "$venv holds files but is no virtual environment; name another directory or remove it"
fi

mkdir -p "$venv"
exec 9>>"$venv/.lock"
flock 9
is_installed && exit 0 # another call did it meanwhile

# .installing stands while an install is under way: one found here was left by an install that was interrupted, and
# what it left may be half a package.
if [ -e "$venv/.installing" ]; then
    echo "bootstrap: an earlier install into $venv was interrupted; starting again"
    find "$venv" -mindepth 1 -maxdepth 1 ! -name .lock ! -name .installing -exec rm -rf {} +
fi
trap 'exit 130' INT
: >"$venv/.installing"
rm -f "$venv/.installed"

echo "bootstrap: installing $* into $venv: takes minutes, downloads about 1 GB (PyTorch for the CPU)" \
    "to 4 GB (PyTorch with CUDA), TensorRT not counted"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if ! { install hashed "$@" && install unhashed "$@"; }; then
    # pip gave up by itself and left whole packages: the next call goes on from here.
    rm -f "$venv/.installing"
    fail "pip could not install these requirements (its message is above); run this again when that is mended"
fi
printf '%s\n' "$digests" >"$venv/.installed.new"
mv "$venv/.installed.new" "$venv/.installed"
rm -f "$venv/.installing"
echo "bootstrap: $venv is ready"
