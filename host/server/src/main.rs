//! The program `plugboard`; everything is in the library.

/// Messages and states are many small allocations, freed by other threads than made them. This one hands out first what
/// was given back last, so that it is still in the processor's cache.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    plugboard_server::cli::main()
}
