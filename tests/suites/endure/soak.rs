//! Many small images between two sites on which requests fail at random.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use glance_core::image::provenance;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ImageStore};
use glance_core::{Body, Transport, TransportError};
use http::{Method, Request, Response};
use tokio::runtime::Runtime;

use crate::suites::endure::operator::Operator;
use crate::suites::endure::process::{Sample, early_and_late, watched};
use crate::support::common::{Run, start_heard};
use crate::support::extent::{Chance, extent};
use crate::support::fault::{Fault, Faulty};
use crate::support::site::Site;
use crate::support::stack::Stack;
use crate::support::sweep::{keep, print};

#[test]
fn many_images_on_bad_links_come_whole_and_take_nothing_for_good() {
    let count = extent("ENDURE_IMAGES", 200);
    let (stacks, ca) = Stack::all_and_ca();
    let operator = Operator::who_trusts(&ca);
    let mut chance = Chance::new();
    let mut table = format!("seed {}\n", chance.seed);
    let mut complaints = Vec::new();
    for stack in &stacks {
        let soak = Soak::begin(stack, count, chance.below(u64::MAX));
        let found = soak.run(stack, &operator, &mut table);
        complaints.extend(found.iter().map(|what| format!("{}: {what}", stack.name)));
    }
    print(&table);
    assert!(complaints.is_empty(), "{table}\n{}", complaints.join("\n"));
    keep("soak.md", &table);
}

/// Two sites, the first of which has images.
struct Soak {
    runtime: Runtime,
    source: Site,
    target: Site,
    images: Vec<Image>,
    /// The number of faults on both sites, by kind.
    suffered: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Soak {
    fn begin(stack: &Stack, count: usize, seed: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let suffered = Arc::default();
        let unlucky = |faulty, seed| -> Arc<dyn Transport> {
            let chance = Mutex::new(Chance::of(seed));
            Arc::new(Unlucky { faulty, chance, suffered: Arc::clone(&suffered) })
        };
        let (source, target, images) = runtime.block_on(async {
            let source = Site::open_behind(stack, &[], |faulty| unlucky(faulty, seed)).await;
            let images = fill(&source.kept, count, &mut Chance::of(seed + 1)).await;
            let unlucky = |faulty| unlucky(faulty, seed + 2);
            let target = Site::open_behind(stack, &images, unlucky).await;
            (source, target, images)
        });
        Self { runtime, source, target, images, suffered }
    }

    /// Runs the tool until it succeeds. Appends to the table, and returns the violations.
    fn run(&self, stack: &Stack, operator: &Operator, table: &mut String) -> Vec<String> {
        let _ = write!(table, "\n{HEAD}");
        let mut found = Vec::new();
        for number in 1..=MOST_RUNS {
            let line = operator.livecopy(&self.source.url, &self.target.url, stack.name);
            let child = start_heard(&line, &operator.variables());
            let (run, samples) = watched(child, INTERVAL);
            let _ = writeln!(table, "{}", self.row(stack, number, &run, &samples));
            if number == 1 {
                found.extend(grown(&samples));
            }
            if run.code == Some(0) {
                break;
            }
            if number == MOST_RUNS || run.code != Some(3) {
                found.push(format!("run {number} ends with {:?}: {}", run.code, run.stderr));
                break;
            }
        }
        let requests = self.source.faulty.requests().len() + self.target.faulty.requests().len();
        let suffered = self.suffered.lock().unwrap();
        let faults: usize = suffered.values().sum();
        let _ = writeln!(table, "\n{faults} faults in {requests} requests: {suffered:?}");
        found.extend(suffered.is_empty().then(|| "nothing went wrong on the way".to_owned()));
        found.extend(self.target.watch.violations());
        found.extend(self.images.iter().filter_map(|image| self.wrong(image)));
        found
    }

    fn row(&self, stack: &Stack, number: usize, run: &Run, samples: &[Sample]) -> String {
        let (name, count) = (stack.name, self.images.len());
        let whole = count - self.images.iter().filter_map(|image| self.wrong(image)).count();
        let seconds = samples.last().map_or(0.0, |last| last.after.as_secs_f64());
        let (early, late) = early_and_late(samples, |sample| sample.rss);
        let (files_early, files_late) = early_and_late(samples, |sample| sample.files);
        let peak = samples.iter().map(|sample| sample.peak).max().unwrap_or_default();
        let [early, late, peak] = [early, late, peak].map(|kib| kib >> 10);
        let code = run.code.unwrap_or(-1);
        format!(
            "| {name} | {number} | {seconds:.1} | {code} | {whole} of {count} | {early} | {late} | \
             {peak} | {files_early} | {files_late} |"
        )
    }

    /// The differences between an image's replica and the image.
    fn wrong(&self, image: &Image) -> Option<String> {
        let mut found = self.runtime.block_on(self.target.differences(&self.source, &image.id));
        found.retain(|field| !provenance::ALL.contains(&field.as_str()));
        (!found.is_empty()).then(|| format!("{}: {found:?}", image.id))
    }
}

/// Reports resources that grew during a run.
fn grown(samples: &[Sample]) -> Vec<String> {
    let (early, late) = early_and_late(samples, |sample| sample.rss);
    let memory = (late > early + GROWTH)
        .then(|| format!("{late} KiB of memory in the last half, {early} KiB early on"));
    let most = samples.iter().map(|sample| sample.files).max().unwrap_or_default();
    let files = (most > MOST_FILES).then(|| format!("{most} open files"));
    memory.into_iter().chain(files).collect()
}

/// A transport on which some requests fail.
struct Unlucky {
    faulty: Arc<Faulty>,
    chance: Mutex<Chance>,
    suffered: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Unlucky {
    fn draw(&self, request: &Request<Body>) -> Option<Fault> {
        let mut chance = self.chance.lock().unwrap();
        if chance.fraction() >= SHARE {
            return None;
        }
        let is_data = request.uri().path().ends_with("/file");
        // Records are shorter than data.
        let after = chance.below(if is_data { MOST_BYTES / 2 } else { 500 });
        let mut faults = vec![
            Fault::Lost,
            Fault::AnswerLost,
            Fault::Answer(504),
            Fault::Status(500),
            Fault::Status(502),
            Fault::Status(503),
            Fault::Busy(503, "1"),
            Fault::Busy(429, "0"),
            Fault::Busy(429, "1"),
        ];
        match *request.method() {
            Method::GET => faults.extend([Fault::CutDownload { after }; 3]),
            Method::PUT if is_data => {
                faults.extend([Fault::CutUpload { after }; 3]);
                faults.push(Fault::RefuseUpload { status: 503, after });
            }
            _ => {}
        }
        Some(faults[usize::try_from(chance.below(faults.len() as u64)).unwrap()])
    }
}

#[async_trait]
impl Transport for Unlucky {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if let Some(fault) = self.draw(&request) {
            let name = format!("{fault:?}");
            let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
            *self.suffered.lock().unwrap().entry(name).or_default() += 1;
            let path = request.uri().path().to_owned();
            self.faulty.inject(request.method().clone(), move |it| it == path, 1, fault);
        }
        self.faulty.send(request).await
    }
}

impl fmt::Debug for Unlucky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlucky").field("faulty", &self.faulty).finish_non_exhaustive()
    }
}

/// Creates `count` images of all kinds.
async fn fill(store: &MemoryStore, count: usize, chance: &mut Chance) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    for number in 0..count {
        let id: ImageId = format!("00000000-0000-4000-8000-{number:012}").parse().unwrap();
        let mut properties = BTreeMap::from([("number".to_owned(), number.to_string())]);
        if let Some(kernel) = images.last().filter(|_| number % 20 == 1) {
            properties.insert("kernel_id".to_owned(), kernel.id.to_string());
        }
        let attributes = Attributes {
            name: Some(format!("image {number}")),
            visibility: VISIBILITIES[number % VISIBILITIES.len()],
            protected: number % 7 == 0,
            os_hidden: number % 11 == 0,
            disk_format: Some("raw".to_owned()),
            container_format: Some("bare".to_owned()),
            tags: [format!("tag {}", number % 5), "all".to_owned()].into(),
            properties,
            ..Attributes::default()
        };
        let is_shared = attributes.visibility == Visibility::Shared;
        store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
        let size = chance.below(MOST_BYTES);
        // Bytes below 128 only, so that no image ends like a partition table (byte 0xaa), which a
        // Glance may refuse.
        let data: Bytes = (0..size).map(|_| chance.below(128).to_le_bytes()[0]).collect();
        store.upload(&id, Body::from(data)).await.unwrap();
        if is_shared {
            let member = |project: &str, status| Member { project: project.to_owned(), status };
            let states = [MemberStatus::Accepted, MemberStatus::Pending];
            let members = [member("p", states[0]), member("q", states[1])];
            store.set_members(&id, &members).await.unwrap();
        }
        if number % 13 == 0 {
            store.set_activation(&id, Activation::Deactivated).await.unwrap();
        }
        images.push(store.get(&id).await.unwrap());
    }
    images
}

const VISIBILITIES: [Visibility; 4] =
    [Visibility::Public, Visibility::Shared, Visibility::Private, Visibility::Community];

/// Fraction of requests that fail.
const SHARE: f64 = 0.02;

/// Maximum size of an image.
const MOST_BYTES: u64 = 64 << 10;

const MOST_RUNS: usize = 5;

const INTERVAL: Duration = Duration::from_millis(50);

/// Permitted growth of resident memory between the early and the late samples, in KiB.
const GROWTH: u64 = 8 << 10;

/// Connections to two servers, and the files of the run itself.
const MOST_FILES: u64 = 64;

const HEAD: &str = "| stack | run | s | exit | exact | RSS early, MiB | late | peak | open files early \
    | late |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
