//! Which texts of the sources are messages.

use super::collect::Text;
use super::form::Form;

/// Whether a text of a file is a message.
pub(super) fn is_message(file: &str, text: &Text) -> bool {
    let form = Form::of_source(&text.value).text;
    let words: Vec<&str> = form.split(' ').filter(|word| is_word(word)).collect();
    let Some(first) = words.first().map(|word| word.trim_end_matches(':')) else { return false };
    let is_long = words.iter().filter(|word| !ARTICLES.contains(word)).count() > 2;
    let is_failure = words.len() > 1 && words.iter().any(|word| FAILURES.contains(word));
    let is_other = HINTS.contains(&first)
        || PARTS.contains(&&*form)
        || form.starts_with('<')
        || OTHER_TEXTS.iter().any(|place| file.starts_with(place));
    text.is_error || ((is_long || is_failure) && !is_other)
}

/// Options, placeholders and punctuation are no words.
fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '`') && word.contains(char::is_lowercase)
}

/// Words that do not count.
const ARTICLES: &[&str] = &["a", "an", "the"];

/// Two words are a message if one of them is one of these.
const FAILURES: &[&str] = &[
    "cannot",
    "expired",
    "failed",
    "invalid",
    "lost",
    "refused",
    "unexpected",
    "unknown",
    "unreadable",
    "unusable",
];

/// The words that begin hints, such as `check the port`, and operations, such as `read the record`,
/// which stands after `cannot`.
const HINTS: &[&str] = &[
    "`glance-replicator",
    "add",
    "and",
    "ask",
    "assign",
    "begin",
    "build",
    "change",
    "check",
    "choose",
    "compare",
    "configure",
    "convert",
    "copy",
    "correct",
    "create",
    "deactivate",
    "delete",
    "did",
    "dump",
    "enable",
    "examine",
    "extract",
    "find",
    "finish",
    "fix",
    "free",
    "get",
    "give",
    "have",
    "if",
    "ignore",
    "import",
    "indent",
    "install",
    "leave",
    "list",
    "lock",
    "look",
    "make",
    "name",
    "omit",
    "open",
    "or",
    "pass",
    "reactivate",
    "read",
    "reissue",
    "remove",
    "rename",
    "renew",
    "repair",
    "replace",
    "restore",
    "retry",
    "review",
    "run",
    "set",
    "show",
    "sign",
    "store",
    "submit",
    "take",
    "to",
    "use",
    "verify",
    "wait",
    "write",
];

/// Texts that only name something in a message.
const PARTS: &[&str] = &[
    // What data and files can be.
    "a directory with data",
    "a disk encrypted by",
    "a disk with a partition table",
    "a long name in the old * format",
    "in no format that Glance knows",
    "of an unknown type",
    "the continuation of another archive",
    "the label of a volume",
    "unreadable name",
    // What a value should be.
    "a character of 4 bytes, such as an emoji",
    "a list of strings",
    "active or deactivated",
    "active, deactivated, queued, saving, uploading, importing, killed and pending_delete",
    "created-after or created-before",
    "min-size or max-size",
    "one source and one target",
    "public, community, shared and private",
    "the name of an image",
    "true or false",
    "updated-after or updated-before",
    // Places, and what is not shown there.
    "a value that may be a secret",
    "an address with a user in it",
    "an argument that is not *-8",
    "cacert in clouds.yaml",
    "cacert of cloud",
    "cacert of the cloud * in",
    "cert of the cloud",
    "directly in the job",
    "key of the cloud",
    "the revocation list itself",
    "the system's trust store",
    // Certificates, secrets, and other things of a server.
    "a certificate in the server's chain",
    "chains up to",
    "one of its * certificates",
    "the identity provider at",
    "the identity provider's token",
    "the server's certificate (*, issued by",
    "the server's certificate (*, self-signed",
    "the token and the data",
    "the token of identity provider `*`",
    "time of creation",
    "was issued by",
    // What doctor, plans and other reports show.
    "1 Gbit/s (the assumed maximum",
    "certificates in the bundle",
    "created_at date deleted_at location updated_at",
    "glance-replicator doctor: may be deleted",
    "in less than a day",
    "no further image",
    "valid from * until * (*), key",
    // The words of libraries that the tool looks for.
    "failed to lookup address information",
    "no protocols available",
    "packet length too long",
    "unexpected eof while reading",
    "wrong version number",
];

/// Folders and files whose texts are help, results, or names in a protocol.
const OTHER_TEXTS: &[&str] = &[
    "tls-policy/src/fault/alert.rs",
    "glance-server/src/api/schemas/",
    "replicator-cli/src/args/examples.rs",
    "replicator-cli/src/args/help.rs",
    "replicator-cli/src/commands/help/first_screen.rs",
    "replicator-cli/src/commands/jobs/schema.rs",
    "replicator-cli/src/exit.rs",
    "replicator-cli/src/guide/",
    "replicator-cli/src/manual/",
    "replicator-cli/src/progress/",
    "replicator-cli/src/report/",
    "replicator-engine/src/events/",
    "transport-reqwest/src/library_words.rs",
];
