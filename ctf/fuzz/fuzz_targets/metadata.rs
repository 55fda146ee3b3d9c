//! Any bytes as metadata, TSDL or JSON: an error at worst; what is accepted survives another journey in its format.
#![no_main]

use laneway_ctf::{ctf2, metadata, tsdl};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(class) = metadata::read(bytes) else {
        return;
    };
    let again = ctf2::read(&ctf2::write(&class)).expect("it was written");
    assert_eq!(again.streams.len(), class.streams.len());
    if let Ok(lowered) = tsdl::lower(&class) {
        let again = tsdl::read(&tsdl::write(&lowered)).expect("it was written");
        assert_eq!(again.streams.len(), lowered.streams.len());
    }
});
