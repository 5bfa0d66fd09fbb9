//! Runs one case: copy with the fault, check, remove the fault, copy again, check.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use glance_core::Body;
use glance_core::image::{Attributes, Image, ImageId, Member, MemberStatus, Status, Visibility};
use glance_core::store::memory::MemoryStore;
use glance_core::store::{Activation, ImageStore};
use glance_core::transport::backoff::Backoff;
use replicator_engine::{CopyError, Done, Outcome, Policy, Replication, Retries, RunError};
use tokio::time::timeout;

use crate::suites::faults::table::{Case, End, SIZE, Side, Start, Step, Times};
use crate::support::site::{MEMBERS, Site};
use crate::support::stack::Stack;

/// The outcome of a case for the table, and the violations.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) first: String,
    pub(crate) second: String,
    pub(crate) said: String,
    pub(crate) complaints: Vec<String>,
}

/// Runs a case to its end.
pub(crate) async fn run(case: Case, stack: Arc<Stack>) -> (Case, Ended) {
    let case = Case { stack: stack.name, ..case };
    let setting = Setting::new(case, &stack).await;
    let mut ended = Ended::default();
    setting.suffering().faulty.inject(
        case.step.method(),
        case.step.path(&victim()),
        case.count(),
        case.fault,
    );
    let silent = case.is_silent().then_some(case.step);
    let first = setting.run(&setting.replications(&stack, silent), &mut ended).await;
    setting.judge_first(&first, &mut ended).await;
    setting.suffering().faulty.mend();
    let second = setting.rerun(&stack, &mut ended).await;
    setting.judge_second(&second, &mut ended).await;
    for site in &setting.targets {
        ended.complaints.extend(site.watch.violations());
    }
    (case, ended)
}

/// A source with two images, and the targets.
struct Setting {
    case: Case,
    source: Site,
    targets: Vec<Site>,
}

/// The outcome of a run to one target.
type Ran = Result<Vec<Outcome>, RunError>;

impl Setting {
    async fn new(case: Case, stack: &Stack) -> Self {
        let source = Site::open(stack, &[]).await;
        fill(&source.kept, case.step).await;
        let mut images = Vec::new();
        for id in [victim(), bystander()] {
            images.push(source.kept.get(&id).await.unwrap());
        }
        let mut targets = Vec::new();
        for _ in 0..case.targets {
            let target = Site::open(stack, &images).await;
            prepare(&target, &images[0], case.step.start()).await;
            targets.push(target);
        }
        Self { case, source, targets }
    }

    /// The replications to all targets, with a client that has short timeouts where a server
    /// stalls.
    fn replications(&self, stack: &Stack, silent: Option<Step>) -> Vec<Replication> {
        let transport = match silent {
            Some(step) => {
                stack.impatient_at(&self.suffering().url, step.method(), step.path(&victim()))
            }
            None => Arc::clone(&stack.patient),
        };
        let replication = |target: &Site| Replication {
            source: self.source.store(&transport),
            target: target.store(&transport),
            policy: Policy {
                hashers: stack.hashers,
                // The request that creates a record does not name the image's path, so the first
                // request suffers the fault. Only one image at a time makes that the right one.
                transfers: if self.case.step == Step::Create { 1 } else { 2 },
                retries: RETRIES,
                ..Policy::default()
            },
        };
        self.targets.iter().map(replication).collect()
    }

    fn suffering(&self) -> &Site {
        match self.case.step.side() {
            Side::Source => &self.source,
            Side::Target => &self.targets[0],
        }
    }

    /// Another run of the tool, without the state of the first. The server notices a broken upload
    /// with a delay, so the run is repeated while the image is busy.
    async fn rerun(&self, stack: &Stack, ended: &mut Ended) -> Vec<Ran> {
        let is_busy = |outcome: &Outcome| matches!(outcome.result, Err(CopyError::Busy { .. }));
        for _ in 0..100 {
            let ran = self.run(&self.replications(stack, None), ended).await;
            if !ran.iter().flatten().flatten().any(is_busy) {
                return ran;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ended.complaints.push("an upload does not end".to_owned());
        Vec::new()
    }

    async fn run(&self, replications: &[Replication], ended: &mut Ended) -> Vec<Ran> {
        let mut all = Vec::new();
        for replication in replications {
            let mut outcomes = Vec::new();
            let run = replication.run(|outcome| outcomes.push(outcome));
            let ran = timeout(PATIENCE, run).await.unwrap_or_else(|_| {
                ended.complaints.push("it hangs".to_owned());
                Ok(())
            });
            all.push(ran.map(|()| outcomes));
        }
        all
    }

    async fn judge_first(&self, ran: &[Ran], ended: &mut Ended) {
        for (number, ran) in ran.iter().enumerate() {
            let end = self.end(number, ran, ended).await;
            let suffers = number == 0 || self.case.step.side() == Side::Source;
            let may = if suffers { self.case.ends() } else { &[End::Exact] };
            // A fault that occurs once is over when the other targets are served.
            let over = number > 0 && self.case.times == Times::Once && end == Some(End::Exact);
            if let Some(end) = end.filter(|end| !may.contains(end) && !over) {
                let complaint =
                    format!("target {number} ends {end:?}, not {may:?}: {}", ended.said);
                ended.complaints.push(complaint);
            }
            ended.first = joined(&ended.first, end);
            if self.case.step.is_of_one_image() || !suffers {
                self.is_exact(number, ran, &bystander(), ended).await;
            }
        }
    }

    async fn judge_second(&self, ran: &[Ran], ended: &mut Ended) {
        for (number, ran) in ran.iter().enumerate() {
            let end = self.end(number, ran, ended).await;
            let spoilt = number == 0 && self.case.spoils();
            let must = if spoilt { End::Quarantined } else { End::Exact };
            if end.is_some_and(|end| end != must) {
                let complaint = format!("mended, target {number} ends {end:?}: {}", ended.said);
                ended.complaints.push(complaint);
            }
            ended.second = joined(&ended.second, end);
            self.is_exact(number, ran, &bystander(), ended).await;
        }
    }

    /// The outcome of the affected image at a target. Records a violation if there is none.
    async fn end(&self, number: usize, ran: &Ran, ended: &mut Ended) -> Option<End> {
        let outcomes = match ran {
            Ok(outcomes) => outcomes,
            Err(error) => {
                self.check_guilty(number, None, error, ended);
                return Some(End::Failed);
            }
        };
        let mut outcomes = outcomes.iter().filter(|outcome| outcome.image.id == victim());
        let (Some(outcome), None) = (outcomes.next(), outcomes.next()) else {
            ended.complaints.push(format!("target {number} has not one outcome of the image"));
            return None;
        };
        match &outcome.result {
            Err(error) => {
                self.check_guilty(number, Some(error), error, ended);
                Some(self.failure(number, error, ended).await)
            }
            Ok(Done::Skipped(reason)) => {
                ended.complaints.push(format!("target {number} skipped it: {reason}"));
                None
            }
            Ok(done) => {
                let found = self.targets[number].differences(&self.source, &victim()).await;
                match found.as_slice() {
                    [] => Some(End::Exact),
                    [only] if only == MEMBERS => Some(End::WithoutMembers),
                    _ => {
                        let what =
                            format!("WRONG, target {number}: {done:?}, but {found:?} differ");
                        ended.complaints.push(what);
                        None
                    }
                }
            }
        }
    }

    /// The outcome of a failure; a quarantine is checked.
    async fn failure(&self, number: usize, error: &CopyError, ended: &mut Ended) -> End {
        let target = &self.targets[number];
        let Ok(replica) = target.kept.get(&victim()).await else { return End::Failed };
        if !replica.status.has_data() {
            if let CopyError::TargetCorrupted { .. } = error {
                ended.complaints.push("it is said to have stored what it does not have".to_owned());
            }
            return End::Failed;
        }
        let visibility = replica.attributes.visibility;
        let hidden = visibility == Visibility::Private && replica.status == Status::Deactivated;
        match error {
            CopyError::TargetCorrupted { .. } if hidden => End::Quarantined,
            CopyError::ContentDiffers(_) if hidden || self.case.step.start() == Start::Replica => {
                End::Quarantined
            }
            CopyError::TargetCorrupted { .. } | CopyError::ContentDiffers(_) => {
                let status = replica.status;
                ended.complaints.push(format!("its quarantine is {status} and {visibility}"));
                End::Quarantined
            }
            _ => End::Failed,
        }
    }

    /// Checks that a failure names the side on which the fault occurred.
    fn check_guilty(
        &self,
        number: usize,
        failed: Option<&CopyError>,
        error: &(dyn Error + 'static),
        ended: &mut Ended,
    ) {
        let chain = std::iter::successors(Some(error), |error| (*error).source());
        let said = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let side = self.case.step.side();
        let named = match side {
            Side::Source => said.contains(&self.source.url),
            Side::Target => {
                said.contains(&self.targets[number].url) || said.starts_with("the target")
            }
        };
        let blamed = failed.map(|error| match error {
            CopyError::Source(_) | CopyError::Data { .. } => Side::Source,
            _ => Side::Target,
        });
        if !named || blamed.is_some_and(|blamed| blamed != side) {
            ended.complaints.push(format!("the {side:?} is guilty, and it said: {said}"));
        }
        ended.said = said.replace(&self.source.url, "A").replace('|', "/").replace('\n', " ");
    }

    async fn is_exact(&self, number: usize, ran: &Ran, id: &ImageId, ended: &mut Ended) {
        let outcomes = ran.as_ref().map(Vec::as_slice).unwrap_or_default();
        let good = outcomes.iter().any(|one| one.image.id == *id && one.result.is_ok());
        let found = self.targets[number].differences(&self.source, id).await;
        if !good || !found.is_empty() {
            ended.complaints.push(format!("the other image suffers at target {number}: {found:?}"));
        }
    }
}

fn joined(text: &str, end: Option<End>) -> String {
    let end = end.map_or("NOTHING".to_owned(), |end| format!("{end:?}"));
    if text.is_empty() { end } else { format!("{text}, {end}") }
}

/// Creates the affected image (shared, protected, with members, tags and properties; deactivated,
/// or with a kernel, if the step needs that) and a small public image next to it.
async fn fill(store: &MemoryStore, step: Step) {
    let mut everything = attributes("everything", Visibility::Shared);
    everything.tags = ["one".to_owned(), "two".to_owned()].into();
    everything.protected = true;
    everything.properties = [("odd/name~", "ü"), ("os_distro", "debian")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    if matches!(step, Step::GetSource | Step::GetTarget) {
        everything.properties.insert("kernel_id".to_owned(), bystander().to_string());
    }
    put(store, victim(), everything, noise(SIZE)).await;
    let member = |project: &str, status| Member { project: project.to_owned(), status };
    let members = [member("p", MemberStatus::Accepted), member("q", MemberStatus::Pending)];
    store.set_members(&victim(), &members).await.unwrap();
    if step == Step::Deactivate {
        store.set_activation(&victim(), Activation::Deactivated).await.unwrap();
    }
    put(store, bystander(), attributes("another", Visibility::Public), noise(1000)).await;
}

/// Puts the initial state of the copy at the target.
async fn prepare(target: &Site, image: &Image, start: Start) {
    let mut older = image.attributes.clone();
    match start {
        Start::Nothing => {}
        Start::Record => {
            older.visibility = Visibility::Private;
            older.name = Some("left".to_owned());
            target.kept.create(&Image::queued(victim(), older)).await.unwrap();
        }
        Start::Replica => {
            older.name = Some("older".to_owned());
            older.properties.clear();
            put(&target.kept, victim(), older, noise(SIZE)).await;
            target.watch.trust(&victim());
        }
    }
}

async fn put(store: &MemoryStore, id: ImageId, attributes: Attributes, data: Bytes) {
    store.create(&Image::queued(id.clone(), attributes)).await.unwrap();
    store.upload(&id, Body::from(data)).await.unwrap();
}

fn attributes(name: &str, visibility: Visibility) -> Attributes {
    Attributes {
        name: Some(name.to_owned()),
        visibility,
        disk_format: Some("raw".to_owned()),
        container_format: Some("bare".to_owned()),
        ..Attributes::default()
    }
}

/// Pseudo-random bytes.
fn noise(size: u64) -> Bytes {
    let mut state = size | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(usize::try_from(size).unwrap()).collect()
}

fn victim() -> ImageId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}

fn bystander() -> ImageId {
    "00000000-0000-4000-8000-000000000002".parse().unwrap()
}

/// Retries of a single request only. A retry by the run would hide the outcome of a fault.
const RETRIES: Retries = Retries {
    low_level: 3,
    per_image: 2,
    per_run: 0,
    pauses: Backoff { first: Duration::from_millis(5), most: Duration::from_millis(50) },
    settling: Duration::from_secs(20),
};

/// Longer than any run that ends.
const PATIENCE: Duration = Duration::from_secs(120);
