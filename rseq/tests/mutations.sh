#!/bin/sh
# Takes a step out of a sequence, one at a time, and says whether the tests notice.
#
#   [cpu]      the compare with the current CPU        [first]   a store before the commit
#   [compare]  the compare with the expected value     [commit]  the commit
#   [guard]    the compare of the guard                arm!()    the store that arms the sequence
#
# Usage: tests/mutations.sh [FILE...]     (by default all of src/arch/x86_64 that bears such marks)
# Needs nothing but cargo; works on a copy. Exit code 0: every mutation was noticed.

set -u
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The crate alone, as a workspace of its own with what it takes from the real one.
cp -r "$here" "$work/rseq"
{
    echo '[workspace]'
    echo 'members = ["rseq"]'
    echo 'resolver = "3"'
    sed -n '/^\[workspace.package\]/,/^\[package\]/p' "$here/../Cargo.toml" | sed '$d'
} >"$work/Cargo.toml"
cp "$here/../Cargo.lock" "$work/" 2>/dev/null
cd "$work/rseq" || exit 2
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}-mutations"
[ $# -gt 0 ] || set -- store.rs take.rs copy.rs many.rs
missed=0

# The function a line lies in.
function_at() {
    head -n "$2" "$1" | grep -o 'fn [a-z_]*' | tail -n 1 | cut -c4-
}

for name in "$@"; do
    file=src/arch/x86_64/$name
    cp "$file" "$work/original"
    for line in $(grep -nE '// \[|^ *arm!\(\),' "$file" | cut -d: -f1); do
        text=$(sed -n "${line}p" "$file")
        case $text in
        *'arm!()'*) step=arm; change='s/arm!()/"# {tmp} {offset} {rseq_cs}"/' ;;
        # Turned into a comment of the assembly, so that its operands still count as used.
        *) step=$(echo "$text" | sed 's/.*\[\([a-z]*\)\].*/\1/'); change='s/"/"# /' ;;
        esac
        sed -i "${line}$change" "$file"
        if timeout 120 cargo test -q --lib points >"$work/log" 2>&1; then
            echo "MISSED  $(function_at "$file" "$line"): $step"
            missed=1
        elif grep -q 'could not compile' "$work/log"; then
            echo "INVALID $(function_at "$file" "$line"): $step"
            grep -m3 '^error' "$work/log"
            missed=1
        else
            by=$(sed -n 's/^    tests::points::\([a-z_]*\)$/\1/p' "$work/log" | sort -u | tr '\n' ' ')
            echo "noticed $(function_at "$file" "$line"): $step, by ${by:-a crash or a hang}"
        fi
        cp "$work/original" "$file"
    done
done
exit $missed
