//! Any bytes on the socket, in any pieces: an error at worst, and never more memory than a frame.
#![no_main]

use laneway_control::message::{FrameDecoder, MAX_FRAME_BYTES, Message, encode_frame};
use laneway_control::{ToApplication, ToConsumer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let piece = usize::from(piece) + 1;
    feed::<ToConsumer>(piece, bytes);
    feed::<ToApplication>(piece, bytes);
});

fn feed<M: Message + PartialEq + std::fmt::Debug>(piece: usize, mut bytes: &[u8]) {
    let mut decoder = FrameDecoder::default();
    loop {
        match decoder.take::<M>() {
            Err(_) => return,
            Ok(Some(message)) => {
                // What was understood can be said again.
                let frame = encode_frame(&message).expect("it came in a frame");
                assert!(frame.len() <= MAX_FRAME_BYTES + 4);
            }
            Ok(None) => {
                let n = decoder.wants().min(piece).min(bytes.len());
                if n == 0 {
                    return;
                }
                decoder.push(&bytes[..n]);
                bytes = &bytes[n..];
            }
        }
    }
}
