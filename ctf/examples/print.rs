//! Prints a trace, or counts its events.
//!
//! ```console
//! $ cargo run --release -p laneway-ctf --example print -- babeltrace|pretty|count DIR
//! ```

use std::error::Error;
use std::io::Write as _;

use laneway_ctf::read::{Item, Notice, Reader};
use laneway_ctf::text::{Babeltrace, BabeltraceOptions, Pretty, PrettyOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(format), Some(path)) = (args.next(), args.next()) else {
        return Err("usage: print babeltrace|pretty|count DIR".into());
    };
    let mut reader = Reader::open(path)?;
    if format == "count" {
        println!("{}", reader.count().total());
        return Ok(());
    }
    let mut babeltrace = Babeltrace::new(BabeltraceOptions::default());
    let mut pretty = Pretty::new(PrettyOptions::default());
    let mut stdout = std::io::stdout().lock();
    let mut out = Vec::new();
    while let Some(item) = reader.next_item() {
        match item {
            Item::Event(event) => match format.as_str() {
                "babeltrace" => babeltrace.event(&mut out, &event),
                _ => pretty.event(&mut out, &event),
            },
            Item::Notice(Notice::Lost(loss)) => {
                let mut line = Vec::new();
                babeltrace.loss(&mut line, &reader, &loss);
                std::io::stderr().write_all(&line)?;
            }
            Item::Notice(Notice::Damage(damage)) => eprintln!("{damage}"),
        }
        if out.len() > 1 << 16 {
            stdout.write_all(&out)?;
            out.clear();
        }
    }
    stdout.write_all(&out)?;
    Ok(())
}
