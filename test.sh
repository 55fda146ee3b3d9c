#!/usr/bin/env bash
# Runs all tests of the workspace, and installs what they need beside a Rust toolchain.
#
#   ./test.sh                                        everything
#   ./test.sh -p laneway-tools --features parquet    what you would give to `cargo test`
set -euo pipefail
cd "$(dirname "$0")"

# Program and Debian package: the judge of the traces, what sets limits of programs, and what the packages
# below need.
missing=()
command -v babeltrace2 >/dev/null || missing+=(babeltrace2)
command -v prlimit >/dev/null || missing+=(util-linux)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
    echo "installing ${missing[*]}" >&2
    if ! command -v apt-get >/dev/null; then
        echo "the tests need ${missing[*]}; install them with the package manager of this system" >&2
        exit 1
    fi
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

# Readers of what `laneway export` writes, in a Python of their own: of PyPI's packages, whatever the system has.
python=target/python/bin/python3
if ! "$python" -c 'import perfetto, pyarrow' 2>/dev/null; then
    echo "installing Python packages into target/python" >&2
    python3 -m venv target/python
    "$python" -m pip install --quiet --disable-pip-version-check perfetto pyarrow
fi

# Tests interrupt programs, which takes effect only where the interrupts are not ignored from the start, as under nohup.
run() {
    env --default-signal=HUP,INT,QUIT cargo test "$@"
}
if (($#)); then
    run "$@"
else
    run --workspace
    # By itself: other tests build the command without the feature, and it is one and the same file.
    run -p laneway-tools --features parquet
fi
