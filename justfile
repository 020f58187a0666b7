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

# Archives in Chromium and Playwright, Socket.IO played again.
test-recordings:
    tests/run recordings

# Fan-out beside a bare epoll server (the README's figures), and the hot parts alone.
bench:
    cargo bench --bench fanout
    cargo bench --bench hot

# Makes the README's picture again.
picture:
    cargo build
    node tests/pages/picture.mjs
