//! The program `plugboard`; everything is in the library.

/// Messages and states are many small allocations, freed by other threads than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    plugboard_server::cli::main()
}
