//! What traced processes and consumers say to each other.
