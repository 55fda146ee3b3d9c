//! `view`, `stats`, `export` and `repair` through the real command, on traces made here.

mod export;
mod follow;
mod made;
mod mistakes;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
mod repair;
mod round_trip;
mod run;
mod stats;
mod terminal;
mod view;
