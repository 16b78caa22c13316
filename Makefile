# Causeway. `make help` lists what there is; `make demo` and `make test` do all their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# What a failed check leaves behind must not count as built.
.DELETE_ON_ERROR:
TSX := node --import tsx

# Sizes of floods and fuzz runs: 1 is full size, 20 is a twentieth.
CAUSEWAY_SCALE ?= 20
export CAUSEWAY_SCALE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

node_modules/.package-lock.json: package.json package-lock.json filters/sdk/package.json
	npm ci --no-audit --no-fund
	@touch $@

.PHONY: setup
setup: node_modules/.package-lock.json ## install the pinned npm packages and the pinned Envoy
	@$(TSX) harness/envoy/install.ts

.PHONY: generate
generate: node_modules/.package-lock.json ## write everything that is generated and committed
	@$(TSX) tools/generate.ts
	@$(TSX) envoy-configs/publish.ts

# Folders are prerequisites too: removing a file changes nothing else.
SOURCES := asconfig.json package.json package-lock.json $(shell find filters harness envoy-configs tools -not -name '*.md')
BUILT := $(addprefix build/,causeway.wasm causeway.mjs bookinfo.mjs overload.mjs heal.mjs topology.html)

.PHONY: build
build: $(BUILT) ## compile build/causeway.wasm, bundle build/causeway.mjs

$(BUILT) &: node_modules/.package-lock.json $(SOURCES)
	@$(TSX) tools/build.ts

.PHONY: lint
lint: node_modules/.package-lock.json ## formatter, linter, type checker, generated files current
	@npx biome ci .
	@npx tsc --project .
	@$(TSX) tools/generate.ts --check

.PHONY: test
test: setup build ## policy specs, emulator, fuzz, and everything on real Envoy
	@mkdir -p build/reports && rm -f build/reports/*
	@npm run --silent specs 2>&1 | tee build/reports/specs.txt
	@npx vitest run --project module --project pairs --project envoy

.PHONY: test-istio
test-istio: setup build ## rendered resources judged by istioctl, the lane story on Istio's control plane (needs Go)
	@npx vitest run --project istio

.PHONY: test-ratelimit
test-ratelimit: setup build ## limits that instances share: the reference service on a real Redis (needs Go)
	@npx vitest run --project ratelimit

.PHONY: test-matrix
test-matrix: setup build ## the lane story on each Envoy release that the wheel offers; writes the table in README.md
	@$(TSX) tools/matrix.ts

.PHONY: image
image: build ## build/image: the module as an OCI image layout, with SHA256SUMS
	@$(TSX) tools/image.ts

.PHONY: demo
demo: setup build ## the lane story on real Envoys as local processes
	@node build/causeway.mjs demo

.PHONY: demo-compose
demo-compose: setup build ## the same by docker-compose
	@node build/causeway.mjs demo --driver compose

.PHONY: bench
bench: setup build ## CPU per request beside the peers; writes build/bench.json
	@$(TSX) test/bench/main.ts

.PHONY: bench-overload
bench-overload: setup build ## overload protection beside stock Envoy's; writes build/bench-overload.json and .svg
	@$(TSX) test/bench-overload/main.ts

.PHONY: drill
drill: setup build ## faults under load beside the peers, one table a part (PARTS="heal tls isolation restart centre"); writes build/drill.json; tls needs wrk
	@$(TSX) test/drill/main.ts $(PARTS)

.PHONY: drill-upgrade
drill-upgrade: setup build ## previous build, this one, back, under load; PREVIOUS=tag, commit or path.wasm (default: last release)
	@PREVIOUS='$(PREVIOUS)' $(TSX) test/drill/upgrade/main.ts

.PHONY: verify
verify: setup build ## everything at full size (STEPS="bench flood": only these); the summary goes to docs/figures
	@$(TSX) tools/verify.ts $(STEPS)

.PHONY: clean
clean: ## remove everything that was built or left behind
	rm -rf build .causeway node_modules
