//! A program without a single `trace!`, and without laneway in it.

fn main() {
    println!("untraced");
}
