//! Children of every kind, of processes in the middle of events.

use laneway_tests::random::stress_factor;
use laneway_tests::rows::{Totals, family};

/// Has children in that way, from the first thread and from another one.
#[track_caller]
fn have_children(way: &str) {
    let mut totals = Totals::default();
    for _ in 0..stress_factor() {
        for who in ["main", "thread"] {
            totals.merge(&family::round(way, who, 15));
        }
    }
    totals.tell(way);
}

#[test]
fn a_child_of_fork_is_a_process_of_its_own() {
    have_children("fork");
}

#[test]
fn a_child_of_fork_may_become_another_program() {
    have_children("fork-exec");
}

#[test]
fn a_child_of_a_bare_clone_is_a_process_of_its_own_though_nobody_was_told() {
    have_children("raw-clone");
}

#[test]
fn a_child_of_a_bare_fork_is_a_process_of_its_own_though_nobody_was_told() {
    have_children("raw-fork");
}

#[test]
fn a_child_of_vfork_may_become_another_program() {
    have_children("vfork-exec");
}

#[test]
fn a_child_of_posix_spawn_is_a_process_of_its_own() {
    have_children("posix-spawn");
}

#[test]
fn a_daemon_that_has_left_its_parents_is_a_process_of_its_own() {
    have_children("daemon");
}
