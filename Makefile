# What people do here, one target each; every target may be repeated. `make` lists them.

BAZEL ?= bazel
export BAZEL
SEEDS ?= 1000

SERVICES := master allocator registry state agent
BINARIES := //cli:tessera $(foreach s,$(SERVICES),//services/$(s):$(s)-svc) \
  //services/agent/launcher:agent-launcher
BENCH_PARTS := $(sort $(notdir $(patsubst %/,%,$(wildcard bench/*/))))

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16
	@printf 'bench-<part>    one of: %s\n' "$(BENCH_PARTS)"

.PHONY: setup
setup: ## install the Debian packages that are missing
	@tools/setup

.PHONY: build
build: setup ## build everything that people run, into bin/
	$(BAZEL) build $(BINARIES)
	@mkdir -p bin
	@out=$$($(BAZEL) info bazel-bin) && for label in $(BINARIES); do \
	  path=$${label#//}; install -C -m 755 "$$out/$${path%:*}/$${path#*:}" bin/ || exit 1; \
	done
	@echo "bin/: $$(ls bin | tr '\n' ' ')"

.PHONY: demo
demo: build ## run a real job on a cluster of its own (KEEP=1: leave it; CHAOS=1: kill services)
	@KEEP=$(KEEP) CHAOS=$(CHAOS) tools/demo

.PHONY: test
test: build ## run every test; the last line counts them
	@tools/run_tests

.PHONY: sim
sim: setup ## simulate SEEDS clusters (1000), from seed FIRST (1); CROWD=1: crowds only
	$(BAZEL) run //tests/sim:simulate -- --twice=10 --seeds=$(SEEDS) --first_seed=$(or $(FIRST),1) \
	  $(if $(CROWD),--crowd)

.PHONY: bench
bench: $(addprefix bench-,$(BENCH_PARTS)) ## run every benchmark

bench-%: build
	@tools/run_bench $*

.PHONY: fmt
fmt: ## format C++ sources and contracts
	@git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' '*.proto' | \
	  xargs -0 -r -n 40 -P $$(nproc) clang-format-14 -i

.PHONY: lint
lint: ## check the house rules (CONTRIBUTING.md) and the contracts
	@tools/lint.py
	@tools/check_protos.py

.PHONY: rooms
rooms: ## print who includes whom: rooms, floors, arrows, and those that point back
	@tools/lint.py --rooms

.PHONY: docs
docs: ## write the pages that are made from the sources: docs/cores/
	@tools/core_pages.py

.PHONY: transcripts
transcripts: setup ## write the golden scripts of the cores anew; read the difference
	@for core in master agent; do \
	  TESSERA_RENEW_TRANSCRIPTS=1 $(BAZEL) run --noshow_progress \
	    //services/$$core/core:$${core}_transcripts_test || exit 1; \
	done

.PHONY: protos-accept
protos-accept: ## make today's contracts the ones that may not break (ALLOW_BREAKING=1: even so)
	@tools/check_protos.py --accept $(if $(ALLOW_BREAKING),--allow-breaking)

.PHONY: clean
clean: ## remove what was built
	$(BAZEL) clean
	rm -rf bin
