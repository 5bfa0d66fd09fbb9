//! The examples in the help of each command. `tests/suites/cli/help.rs` runs those
//! of the most used commands.

pub(super) const LS: &str = "\
glance-replicator ls paris
glance-replicator ls paris --image 'debian-*' --sort size,desc
glance-replicator ls paris --columns id,name,owner,os_distro --output json";

pub(super) const SHOW: &str = "\
glance-replicator show paris debian-12
glance-replicator show paris 6d55dd55-053a-4765-b7bc-b30df0ea3861
glance-replicator show ./images debian-12 --output json";

pub(super) const SIZE: &str = "\
glance-replicator size paris
glance-replicator size paris --tag stable --updated-within 7d
glance-replicator size ./images --output json";

pub(super) const DUMP: &str = "\
glance-replicator dump paris ./images
glance-replicator dump paris ./images --image 'debian-*' --compress zstd
glance-replicator dump paris - --tag stable > images.tar";

pub(super) const LOAD: &str = "\
glance-replicator load ./images lyon
glance-replicator load ./images lyon oslo --image 'debian-*'
glance-replicator load - lyon < images.tar";

pub(super) const LIVECOPY: &str = "\
glance-replicator livecopy paris lyon --image 'debian-*'
glance-replicator livecopy paris lyon oslo --exclude tag=test
glance-replicator livecopy paris ./images --updated-within 7d --bwlimit 10M";

pub(super) const COMPARE: &str = "\
glance-replicator compare paris lyon      # exits 1 if an image differs
glance-replicator compare paris lyon --image 'debian-*' --output json
glance-replicator compare paris ./images --one-way --combined -";

pub(super) const PLAN: &str = "\
glance-replicator plan paris lyon         # exits 1 if there is work to do
glance-replicator plan paris lyon --delete hide --out lyon.plan
glance-replicator plan paris ./images --tag stable --output json";

pub(super) const SYNC: &str = "\
glance-replicator sync paris lyon
glance-replicator sync paris lyon --tag stable --delete hide
glance-replicator sync paris lyon oslo --exclude 'image=*-daily'";

pub(super) const RESUME: &str = "\
glance-replicator resume --dry-run        # exits 1 if a run is unfinished
glance-replicator resume
glance-replicator resume paris lyon";

pub(super) const RUN: &str = "\
glance-replicator run jobs.toml
glance-replicator run jobs.toml --job nightly -n
glance-replicator run jobs.toml --job nightly --job weekly";

pub(super) const CONFIG_CHECK: &str = "\
glance-replicator config check jobs.toml  # exits 2 if the file has an error
glance-replicator config check /etc/glance-replicator/nightly.toml
glance-replicator config check jobs.toml && glance-replicator run jobs.toml";

pub(super) const CONFIG_SCHEMA: &str = "\
glance-replicator config schema
glance-replicator config schema > config.json
glance-replicator config schema | jq '.\"$defs\".job'";

pub(super) const REPAIR: &str = "\
glance-replicator repair paris lyon -n    # exits 1 if an image is unfinished
glance-replicator repair paris lyon
glance-replicator repair paris ./images";

pub(super) const METADEFS: &str = "\
glance-replicator metadefs paris lyon -n  # exits 1 if a namespace differs
glance-replicator metadefs paris lyon
glance-replicator metadefs ./images lyon --namespaces all --prune";

pub(super) const VERIFY: &str = "\
glance-replicator verify ./images
glance-replicator verify paris lyon       # exits 1 if an image is missing
glance-replicator verify paris lyon --deep --subset 1/7";

pub(super) const SERVE: &str = "\
glance-replicator serve ./images --cert cert.pem --key key.pem
glance-replicator serve ./images --cert cert.pem --key key.pem --writable
glance-replicator serve ./images --cert cert.pem --key key.pem \\
    --listen 0.0.0.0:9292 --require-token-file token";

pub(super) const CLOUDS: &str = "\
glance-replicator clouds
glance-replicator clouds paris
OS_CLIENT_CONFIG_FILE=./clouds.yaml glance-replicator clouds";

pub(super) const COMPLETION: &str = "\
source <(glance-replicator completion bash)    # in ~/.bashrc
source <(glance-replicator completion zsh)     # in ~/.zshrc, after compinit
glance-replicator completion fish | source     # in config.fish";

pub(super) const MERGE: &str = "\
glance-replicator report merge reports
glance-replicator report merge 1.json 2.json 3.json
glance-replicator report merge reports --output json";

pub(super) const DOCTOR: &str = "\
glance-replicator doctor paris
glance-replicator doctor paris lyon --read-only
glance-replicator doctor https://glance.example.org:9292 --cacert ca.pem";

pub(super) const HELP: &str = "\
glance-replicator help tls
glance-replicator help exit-codes
glance-replicator help livecopy";
