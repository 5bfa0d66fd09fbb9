//! The examples in the help of each command. `tests/suites/cli/help.rs` runs those
//! of the most used commands.

pub(super) const SIZE: &str = "\
glance-replicator size paris
glance-replicator size paris --tag stable --updated-within 7d
glance-replicator size ./images --output json";

pub(super) const DUMP: &str = "\
glance-replicator dump paris ./images
glance-replicator dump paris ./images --name 'debian-*' --compress zstd
glance-replicator dump paris - --tag stable > images.tar";

pub(super) const LOAD: &str = "\
glance-replicator load ./images lyon
glance-replicator load ./images lyon oslo --name 'debian-*'
glance-replicator load - lyon < images.tar";

pub(super) const LIVECOPY: &str = "\
glance-replicator livecopy paris lyon --name 'debian-*'
glance-replicator livecopy paris lyon oslo --exclude tag=test
glance-replicator livecopy paris ./images --updated-within 7d --bwlimit 10M";

pub(super) const COMPARE: &str = "\
glance-replicator compare paris lyon      # exits 1 if an image differs
glance-replicator compare paris lyon --name 'debian-*' --output json
glance-replicator compare paris ./images --one-way --combined -";

pub(super) const PLAN: &str = "\
glance-replicator plan paris lyon         # exits 1 if there is work to do
glance-replicator plan paris lyon --delete hide --out lyon.plan
glance-replicator plan paris ./images --tag stable --output json";

pub(super) const SYNC: &str = "\
glance-replicator sync paris lyon
glance-replicator sync paris lyon --tag stable --delete hide
glance-replicator sync paris lyon oslo --exclude 'name=*-daily'";

pub(super) const RESUME: &str = "\
glance-replicator resume --dry-run        # exits 1 if a run is unfinished
glance-replicator resume
glance-replicator resume paris lyon";

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
glance-replicator clouds --output json
OS_CLIENT_CONFIG_FILE=./clouds.yaml glance-replicator clouds";

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
