//! `cargo bench -p benches [-- [--json] [NAME]]`: the benchmarks whose name contains NAME.
#![forbid(unsafe_code)]

fn main() -> std::io::Result<()> {
    let mut json = false;
    let mut filter = String::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--json" => json = true,
            name if !name.starts_with('-') => filter = name.to_owned(),
            other => {
                return Err(std::io::Error::other(format!(
                    "unknown option {other}: there are --json and NAME"
                )));
            }
        }
    }
    let comparisons = benches::run(&filter)?;
    if json {
        println!("{:#}", benches::json(&comparisons));
    } else {
        print!("{}", benches::table(&comparisons));
    }
    Ok(())
}
