# `make help` lists the targets. What each needs is checked, and installed after saying so, by scripts/prerequisites.

PORT ?= 2049
EXPORT ?= ./export
FUZZ_SECONDS ?= 30

.PHONY: help serve rdma optimized test test-long check fuzz bench compare conformance

help:
	@echo 'make serve [PORT=2049] [EXPORT=./export]   build and serve a folder over NFS'
	@echo 'make rdma          the library for NFS over RDMA; serve and test build it where they find what it needs'
	@echo 'make optimized     the server once more, laid out by a profile of what it does (a quarter of an hour, root)'
	@echo 'make test          every test, with the real Linux client in a virtual machine (about 20 minutes)'
	@echo 'make test-long     the same in all combinations and full sizes (hours)'
	@echo 'make check         formatting, lints, documentation, shell scripts'
	@echo 'make fuzz          every fuzz target for FUZZ_SECONDS=30 each'
	@echo 'make conformance   pynfs, where the suite is at hand (tests/conformance/pynfs)'
	@echo 'make bench         micro-benchmarks'
	@echo 'make compare       throughput, CPU and latency beside the raw ceiling and NFS-Ganesha (about an hour)'
	@echo 'PENSTOCK_TEST_CLIENT=off leaves the virtual machine out of test and test-long.'

serve:
	@scripts/serve '$(PORT)' '$(EXPORT)'

rdma:
	@scripts/prerequisites serve rdma
	@scripts/rdma

optimized:
	@scripts/optimize

test:
	@scripts/test quick

test-long:
	@scripts/test long

check:
	@scripts/check

fuzz:
	@scripts/fuzz '$(FUZZ_SECONDS)'

conformance:
	@cargo build --release -p server
	@tests/conformance/pynfs

bench:
	@scripts/prerequisites serve
	cargo bench -p benches

compare:
	@scripts/prerequisites serve
	cargo build --release -p server -p benches
	benches/compare/run --out docs/performance
