//! Start and stop under load. Alone in its process, because it measures the process.

mod common;

use common::{Checker, attach, cpus, emit, settings, stress_factor};
use laneway_ringbuf::{Channel, Geometry, WhenFull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn memory_comes_and_goes_under_load_without_growth_and_without_a_fault() {
    static CHANNEL: Channel = Channel::new();
    let stop = AtomicBool::new(false);
    let cycles = 2_000 * stress_factor();
    std::thread::scope(|scope| {
        for who in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    emit(&CHANNEL, who, number, (number % 100) as usize);
                    number += 1;
                }
            });
        }
        let (mut before, mut events) = ((0, 0), 0);
        for cycle in 0..cycles {
            let rseq = cycle % 4 != 0;
            let geometry = Geometry::new(cpus(), 4096 << (cycle % 2), 4).unwrap();
            let mut reader = attach(&CHANNEL, geometry, settings(WhenFull::Discard, rseq));
            if cycle % 50 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut checker = Checker::default();
            checker.drain(&mut reader, true);
            assert!(CHANNEL.detach(LONG), "cycle {cycle}");
            checker.drain(&mut reader, true);
            checker.drain(&mut reader, true);
            events += checker.events;
            drop(reader);
            if cycle == cycles / 10 {
                before = (maps(), resident_bytes());
            }
        }
        let after = (maps(), resident_bytes());
        stop.store(true, Ordering::Relaxed);
        assert!(events > 0, "the threads never met the memory");
        assert!(
            after.0 <= before.0 + 5,
            "{} mappings became {}",
            before.0,
            after.0
        );
        assert!(
            after.1 <= before.1 + (8 << 20),
            "{} bytes became {}",
            before.1,
            after.1
        );
    });
}

fn maps() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count()
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
