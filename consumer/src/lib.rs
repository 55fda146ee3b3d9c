//! Drains the lanes of traced processes into CTF traces.
