# What can be done here. `just` itself is optional: each recipe calls a script or cargo.

# Lists the recipes.
default:
    @just --list

# Runs wstap: http://localhost:8080
run *flags:
    cargo run --release -- {{flags}}

# Formatting, lints, tests of the Rust code, documentation.
check:
    tests/run rust

# Everything that CI runs; installs what it needs.
test:
    tests/run

# The pages in a real Chromium, and clients that others wrote.
test-clients:
    tests/run clients

# Fan-out beside a bare epoll server (the README's figures), and the hot parts alone.
bench:
    cargo bench --bench fanout
    cargo bench --bench hot

# Looks for input that a part cannot bear, for so many seconds (cargo-fuzz, a nightly toolchain).
fuzz target="frame" seconds="60":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Makes the README's picture again.
picture:
    cargo build
    node tests/pages/picture.mjs
