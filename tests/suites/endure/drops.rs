//! A source whose connection drops repeatedly during one large image.

use std::fmt::Write as _;
use std::time::Instant;

use glance_core::image::Image;
use glance_core::store::ImageStore;
use http::Method;
use tokio::runtime::Runtime;

use crate::suites::endure::hollow::{Hollow, HollowSite, id};
use crate::suites::endure::operator::Operator;
use crate::support::common::replicator_with;
use crate::support::extent::{Chance, extent};
use crate::support::fault::Fault;
use crate::support::stack::Stack;
use crate::support::sweep::{keep, print};

#[test]
fn a_source_that_drops_again_and_again_is_read_once_for_one_upload() {
    let size = extent("ENDURE_DROPS_MIB", 256_u64) << 20;
    let (stacks, ca) = Stack::all_and_ca();
    let operator = Operator::who_trusts(&ca);
    let mut chance = Chance::new();
    let mut table = format!("seed {}\n\n{HEAD}", chance.seed);
    for stack in &stacks {
        let dropped = Dropped::run(stack, &operator, size, &mut chance);
        let Dropped { drops, sent, uploads, seconds, .. } = &dropped;
        let (mib, name) = (size >> 20, stack.name);
        let percent = sent * 100_000 / size;
        let times = format!("{}.{:03}", percent / 100_000, percent % 100_000 / 100);
        let row = format!("| {name} | {mib} | {drops} | {times} | {uploads} | {seconds:.1} |");
        let _ = writeln!(table, "{row}");
        dropped.judge(size);
    }
    print(&table);
    keep("drops.md", &table);
}

/// The result of a copy.
struct Dropped {
    drops: usize,
    /// Bytes of data that the source sent.
    sent: u64,
    uploads: usize,
    seconds: f64,
    image: Image,
    replica: Image,
}

impl Dropped {
    fn run(stack: &Stack, operator: &Operator, size: u64, chance: &mut Chance) -> Self {
        let runtime = Runtime::new().unwrap();
        let (source, target) = runtime.block_on(async {
            let image = Hollow::with_image(size, Some(stack.hashers)).await;
            let source = HollowSite::open(stack, image).await;
            (source, HollowSite::open(stack, Hollow::empty(Some(stack.hashers))).await)
        });
        for _ in 0..DROPS {
            let most = size / (DROPS + 1);
            let after = most / 2 + chance.below(most / 2);
            let fault = Fault::CutDownload { after };
            source.faulty.inject(Method::GET, |path| path.ends_with("/file"), 1, fault);
        }
        let line = operator.livecopy(&source.url, &target.url, stack.name);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let variables = operator.variables();
        let variables: Vec<_> = variables.iter().map(|(name, it)| (&**name, &**it)).collect();
        let begin = Instant::now();
        replicator_with(&line, &variables).exits(0);
        let seconds = begin.elapsed().as_secs_f64();
        let is_upload =
            |(method, path): &&(Method, String)| *method == Method::PUT && path.ends_with("/file");
        let uploads = target.faulty.requests().iter().filter(is_upload).count();
        let drops = usize::try_from(DROPS).unwrap() - source.faulty.pending();
        let (image, replica) = runtime.block_on(async {
            (source.store.get(&id()).await.unwrap(), target.store.get(&id()).await.unwrap())
        });
        Self { drops, sent: source.meter.sent(), uploads, seconds, image, replica }
    }

    /// Fails the test unless the replica has the size and digest of the source's image.
    fn judge(&self, size: u64) {
        assert_eq!(self.drops, usize::try_from(DROPS).unwrap(), "drops");
        assert_eq!(self.uploads, 1, "uploads");
        let most = size + size / 10;
        assert!(self.sent <= most, "{} bytes were sent for {size}", self.sent);
        let (image, replica) = (&self.image, &self.replica);
        assert_eq!(replica.size, Some(size));
        assert_eq!(replica.os_hash_value, image.os_hash_value);
        assert_eq!(replica.status, image.status);
        assert_eq!(replica.attributes.visibility, image.attributes.visibility);
    }
}

/// Number of dropped connections.
const DROPS: u64 = 20;

const HEAD: &str = "| stack | MiB | drops | bytes sent / size | uploads | s |\n\
    | --- | --- | --- | --- | --- | --- |\n";
