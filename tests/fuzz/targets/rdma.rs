#![allow(missing_docs)] // The check is where it is documented; this is its entry.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rdma::check(data));
