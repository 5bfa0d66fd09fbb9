# Both packages, from a checkout or from the unpacked source tarball:
#
#   nix-build --expr '(import <nixpkgs> { }).callPackage packaging/nix/package.nix { }'
#   nix-build --expr '(import <nixpkgs> { }).callPackage packaging/nix/package.nix { tls = "openssl"; }'
{
  lib,
  stdenv,
  rustPlatform,
  pkg-config,
  openssl,
  zstd,
  # The TLS library: "rustls" or "openssl".
  tls ? "rustls",
}:

assert lib.assertOneOf "tls" tls [
  "rustls"
  "openssl"
];

let
  root = ../..;
  # A cross build cannot run the program, which writes the manual pages and the completions.
  runs = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  targets =
    lib.optionals runs [
      "generate"
      "install-man"
      "install-completions"
    ]
    ++ [
      "install-units"
      "install-doc"
      "install-licenses"
    ];
in
rustPlatform.buildRustPackage {
  pname = "glance-replicator" + lib.optionalString (tls == "openssl") "-openssl";
  inherit ((lib.importTOML (root + "/Cargo.toml")).workspace.package) version;

  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.difference root (
      lib.fileset.unions [
        (lib.fileset.maybeMissing (root + "/result"))
        (lib.fileset.maybeMissing (root + "/target"))
      ]
    );
  };
  cargoLock.lockFile = root + "/Cargo.lock";

  buildNoDefaultFeatures = true;
  buildFeatures = [ (if tls == "openssl" then "native-tls" else "rustls") ];
  cargoBuildFlags = [ "--package=glance-replicator" ];
  cargoTestFlags = [ "--package=glance-replicator" ];

  nativeBuildInputs = [ pkg-config ];
  buildInputs = [ zstd ] ++ lib.optional (tls == "openssl") openssl;

  env = {
    AWS_LC_SYS_USE_SYSTEM = "0";
    OPENSSL_NO_VENDOR = "1";
    ZSTD_SYS_USE_PKG_CONFIG = "1";
  };

  postInstall = ''
    make ${lib.concatStringsSep " " targets} VARIANT=${tls} PREFIX=$out \
      BINARY=$out/bin/glance-replicator READY=$TMPDIR/generated
  '';

  meta = {
    description = "Copies images between OpenStack Glance services over verified HTTPS";
    license = lib.licenses.asl20;
    mainProgram = "glance-replicator";
    platforms = lib.platforms.linux;
  };
}
