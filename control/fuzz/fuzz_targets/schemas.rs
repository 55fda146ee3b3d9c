//! Any bytes as event descriptions: an error at worst; what is accepted survives another journey.
#![no_main]

use laneway_control::{decode_schemas, encode_schemas};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(events) = decode_schemas(bytes) {
        let again = encode_schemas(&events).expect("it was accepted");
        assert_eq!(decode_schemas(&again).expect("it was encoded"), events);
        for event in &events {
            for field in &event.fields {
                let _ = field.ty.to_string();
            }
        }
    }
});
