//! The program `plugboard`; everything is in the library.

fn main() -> std::process::ExitCode {
    plugboard_server::cli::main()
}
