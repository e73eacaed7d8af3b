# Everyday commands; .ci/run is the whole of them, as it runs before a change is taken.

# List the commands.
default:
    @just --list --unsorted

# All tests; arguments go to cargo test.
test *arguments:
    cargo test {{ arguments }}

# Formatting and clippy, as CI asks for them.
lint:
    .ci/run fmt clippy

# The documentation, with warnings as errors.
doc:
    .ci/run doc

# Criterion's benchmarks; arguments go to criterion.
bench *arguments:
    cargo bench --bench protocol --bench loopback -- {{ arguments }}

# Instruction counts of the hot paths, beside the committed ones; --update writes these anew.
instructions *arguments:
    benches/instructions/run {{ arguments }}

# tickwire beside servers on other libraries; arguments go to benches/peers/run.
peers *arguments:
    benches/peers/run {{ arguments }}

# 10,000 clients, honest and not, a stop and a kill; arguments go to benches/reliability/run.
reliability *arguments:
    benches/reliability/run {{ arguments }}

# The Autobahn suite against `tickwire echo`; arguments go to autobahn/run.
autobahn *arguments:
    autobahn/run {{ arguments }}

# Real market-data clients against `tickwire serve`; arguments name some of them.
clients *arguments:
    tests/clients/run {{ arguments }}

# permessage-deflate with widespread clients against `tickwire echo`; arguments name some of them.
interop *arguments:
    tests/interop/run {{ arguments }}

# One fuzz target without end, or all of them for some seconds each.
fuzz target="":
    {{ if target == "" { ".ci/run fuzz" } else { "cargo +nightly fuzz run " + target } }}

# Licences, bans and sources of the dependencies.
deny:
    .ci/run deny

# Everything that has to pass.
ci:
    .ci/run
