//! Prints a trace's metadata in either format.
//!
//! ```console
//! $ cargo run -p laneway-ctf --example metadata -- 1.8|2 DIR
//! ```

use std::error::Error;
use std::io::Write as _;

use laneway_ctf::{ctf2, metadata, tsdl};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(format), Some(path)) = (args.next(), args.next()) else {
        return Err("usage: metadata 1.8|2 DIR".into());
    };
    let class = metadata::read_file(&std::path::Path::new(&path).join("metadata"))?;
    let text = match format.as_str() {
        "2" => ctf2::write(&class),
        _ => tsdl::write(&class).into_bytes(),
    };
    std::io::stdout().write_all(&text)?;
    Ok(())
}
