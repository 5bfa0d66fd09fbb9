# Builds and installs glance-replicator. Packages use these targets, so every package has the same
# files. packaging/README.md shows the lines for each distribution.
#
#   make build VARIANT=openssl CARGOFLAGS=--frozen
#   make check VARIANT=openssl CARGOFLAGS=--frozen
#   make install VARIANT=openssl DESTDIR=/tmp/image PREFIX=/usr

# The TLS library: `rustls`, or `openssl` for the host's OpenSSL.
VARIANT = rustls
CARGO = cargo
CARGOFLAGS =
# The cargo profile.
PROFILE = release
CARGO_TARGET_DIR ?= $(CURDIR)/target
# A directory with ready manual pages and completions, as `make generate` writes them. If it is not
# set, the built binary writes them: a cross build has to set it.
GENERATED =

DESTDIR =
PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
DOCDIR = $(DATADIR)/doc/glance-replicator
LICENSEDIR = $(DATADIR)/licenses/glance-replicator
BASHDIR = $(DATADIR)/bash-completion/completions
ZSHDIR = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d
UNITDIR = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
INSTALL = install

FEATURES_rustls = rustls
FEATURES_openssl = native-tls
FEATURES = $(FEATURES_$(VARIANT))
ifeq ($(FEATURES),)
$(error VARIANT is "$(VARIANT)": it must be rustls or openssl)
endif

# Cargo's directory for the results: `dev` is the only profile with a directory of another name.
OUT = $(CARGO_TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)$(PROFILE:dev=debug)
BINARY = $(OUT)/glance-replicator
READY = $(or $(GENERATED),$(OUT)/generated)
# The licences of the crates in the binary; the tarball of vendored crates contains the file.
NOTICES = $(wildcard vendor/THIRD-PARTY-NOTICES-$(VARIANT))

# A binary must not depend on where it was built, so no path of this machine may get into it.
SOURCE = /usr/src/glance-replicator
CRATES = $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
PATHS = $(if $(wildcard vendor),,$(CRATES)=$(SOURCE)/vendor) \
	$(CURDIR)=$(SOURCE) $(CARGO_TARGET_DIR)=$(SOURCE)/target
override RUSTFLAGS += $(addprefix --remap-path-prefix=,$(PATHS))
override CFLAGS += $(addprefix -ffile-prefix-map=,$(PATHS))
override CXXFLAGS += $(addprefix -ffile-prefix-map=,$(PATHS))
export RUSTFLAGS CFLAGS CXXFLAGS CARGO_TARGET_DIR
# A build must not depend on whether the machine has an AWS-LC, unless the packager asks for that.
ifndef AWS_LC_SYS_SYSTEM_DIR
export AWS_LC_SYS_USE_SYSTEM ?= 0
endif

.PHONY: build generate check install install-binary install-man install-completions \
	install-units install-doc install-licenses

build:
	$(CARGO) build $(CARGOFLAGS) --profile $(PROFILE) --package glance-replicator \
		--no-default-features --features $(FEATURES)
	$(if $(GENERATED),,$(MAKE) generate)

# Writes the manual pages and the completions.
generate:
	rm -rf "$(READY)"
	mkdir -p "$(READY)/completions"
	"$(BINARY)" man "$(READY)"
	for shell in bash zsh fish powershell elvish; do \
		"$(BINARY)" completions $$shell > "$(READY)/completions/$$shell" || exit 1; \
	done

# The tests that need neither root, network nor other programs.
check:
ifeq ($(VARIANT),rustls)
	$(CARGO) test $(CARGOFLAGS)
else
	$(CARGO) test $(CARGOFLAGS) --package glance-replicator --package tests \
		--no-default-features --features tests/$(FEATURES)
endif

install: install-binary install-man install-completions install-units install-doc install-licenses

install-binary:
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 0755 "$(BINARY)" "$(DESTDIR)$(BINDIR)/glance-replicator"

install-man:
	for section in 1 5 7; do \
		$(INSTALL) -d "$(DESTDIR)$(MANDIR)/man$$section" && \
		$(INSTALL) -m 0644 "$(READY)/man$$section"/*.$$section \
			"$(DESTDIR)$(MANDIR)/man$$section" || exit 1; \
	done

install-completions:
	$(INSTALL) -d "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" "$(DESTDIR)$(FISHDIR)"
	$(INSTALL) -m 0644 "$(READY)/completions/bash" "$(DESTDIR)$(BASHDIR)/glance-replicator"
	$(INSTALL) -m 0644 "$(READY)/completions/zsh" "$(DESTDIR)$(ZSHDIR)/_glance-replicator"
	$(INSTALL) -m 0644 "$(READY)/completions/fish" "$(DESTDIR)$(FISHDIR)/glance-replicator.fish"

install-units:
	$(INSTALL) -d "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(SYSUSERSDIR)"
	for unit in glance-replicator@.service glance-replicator@.timer; do \
		sed 's|/usr/bin/|$(BINDIR)/|' "packaging/systemd/$$unit" \
			> "$(DESTDIR)$(UNITDIR)/$$unit" && \
		chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit" || exit 1; \
	done
	$(INSTALL) -m 0644 packaging/systemd/glance-replicator.sysusers \
		"$(DESTDIR)$(SYSUSERSDIR)/glance-replicator.conf"

install-doc:
	$(INSTALL) -d "$(DESTDIR)$(DOCDIR)/examples"
	$(INSTALL) -m 0644 README.md CHANGELOG.md SECURITY.md "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -m 0644 packaging/kubernetes/indexed-job.yaml packaging/slurm/array.sh \
		"$(DESTDIR)$(DOCDIR)/examples"

install-licenses:
	$(INSTALL) -d "$(DESTDIR)$(LICENSEDIR)"
	$(INSTALL) -m 0644 LICENSE NOTICE $(NOTICES) "$(DESTDIR)$(LICENSEDIR)"
