//! The table of cases: the faults that a step can suffer, and the permitted outcomes.

use std::fmt;

use glance_core::image::ImageId;
use http::Method;

use crate::support::fault::Fault;

/// One fault at one step of a copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) step: Step,
    pub(crate) fault: Fault,
    pub(crate) times: Times,
    /// Number of targets. With several, the fault is at the first target, or at their common
    /// source.
    pub(crate) targets: usize,
    pub(crate) stack: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    /// Until the fault is removed.
    Always,
}

/// A request of a copy, together with the state of the target when the copy begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    ListSource,
    ListTarget,
    /// The target is listed while it has an older record of the image.
    ListReplica,
    /// The record of an image that names its kernel is read.
    GetSource,
    /// The target's record of an image that names its kernel is read.
    GetTarget,
    MembersSource,
    Create,
    /// A record without data is prepared for the upload.
    Prepare,
    Read,
    Upload,
    Verify,
    Patch,
    /// An older record is updated.
    Update,
    MembersTarget,
    AddMember,
    SetMember,
    Deactivate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Target,
}

/// The initial state of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Nothing,
    /// A record without data.
    Record,
    /// The data, with an older record.
    Replica,
}

/// The outcome of a run for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// An exact replica.
    Exact,
    /// An exact replica, except for members that one of the Glances does not show.
    WithoutMembers,
    /// A failure that names the side with the fault.
    Failed,
    /// A quarantine: the target holds other data, which no user can access.
    Quarantined,
}

/// Size of the affected image in bytes.
pub(crate) const SIZE: u64 = 600_001;

/// Returns all cases of one TLS stack.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for step in Step::ALL {
        for fault in step.faults() {
            for times in [Times::Once, Times::Always] {
                let case = Case { step, fault, times, targets: 1, stack: "" };
                cases.push(case);
                cases.extend(step.with_several().then_some(Case { targets: 3, ..case }));
            }
        }
    }
    cases
}

impl Step {
    const ALL: [Self; 17] = [
        Self::ListSource,
        Self::ListTarget,
        Self::ListReplica,
        Self::GetSource,
        Self::GetTarget,
        Self::MembersSource,
        Self::Create,
        Self::Prepare,
        Self::Read,
        Self::Upload,
        Self::Verify,
        Self::Patch,
        Self::Update,
        Self::MembersTarget,
        Self::AddMember,
        Self::SetMember,
        Self::Deactivate,
    ];

    pub(crate) fn side(self) -> Side {
        match self {
            Self::ListSource | Self::GetSource | Self::MembersSource | Self::Read => Side::Source,
            _ => Side::Target,
        }
    }

    pub(crate) fn start(self) -> Start {
        match self {
            Self::Prepare => Start::Record,
            Self::ListReplica | Self::Update => Start::Replica,
            _ => Start::Nothing,
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Create | Self::AddMember | Self::Deactivate => Method::POST,
            Self::Upload | Self::SetMember => Method::PUT,
            Self::Prepare | Self::Patch | Self::Update => Method::PATCH,
            _ => Method::GET,
        }
    }

    /// Whether only requests about one image are affected.
    pub(crate) fn is_of_one_image(self) -> bool {
        !self.is_listing() && self != Self::Create
    }

    pub(crate) fn is_listing(self) -> bool {
        matches!(self, Self::ListSource | Self::ListTarget | Self::ListReplica)
    }

    /// Returns whether a path belongs to the step's request about this image.
    pub(crate) fn path(self, image: &ImageId) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let record = format!("/v2/images/{image}");
        move |path| match self {
            Self::ListSource | Self::ListTarget | Self::ListReplica | Self::Create => {
                path == "/v2/images"
            }
            Self::Read | Self::Upload => path == format!("{record}/file"),
            Self::MembersSource | Self::MembersTarget | Self::AddMember => {
                path == format!("{record}/members")
            }
            Self::SetMember => path.starts_with(&format!("{record}/members/")),
            Self::Deactivate => path.starts_with(&format!("{record}/actions/")),
            _ => path == record,
        }
    }

    /// Whether the step is also tested with several targets.
    fn with_several(self) -> bool {
        use Step::{Create, Deactivate, ListTarget, Read, Upload, Verify};
        matches!(self, ListTarget | Create | Read | Upload | Verify | Deactivate)
    }

    fn faults(self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = STATUSES.map(Fault::Status).into();
        faults.extend(EVERYWHERE);
        match self {
            Self::Read => faults.extend(reads()),
            Self::Upload => faults.extend(uploads()),
            Self::Deactivate => faults.extend(CARRIED_OUT),
            _ => {
                faults.extend(CARRIED_OUT);
                faults.extend(ANSWERS);
            }
        }
        if matches!(
            self,
            Self::ListSource | Self::ListReplica | Self::GetSource | Self::Verify | Self::Patch
        ) {
            faults.extend([Fault::WrongDigest, Fault::WrongSize, Fault::NoDigest]);
        }
        faults
    }
}

/// Faults that any request can suffer.
const EVERYWHERE: [Fault; 7] = [
    Fault::Stall,
    Fault::Lost,
    Fault::AnswerLost,
    Fault::NotGlance,
    Fault::Busy(503, "0"),
    Fault::Redirect("https://elsewhere.invalid/"),
    Fault::Redirect("/nowhere"),
];

/// Faults in the answers to requests that are carried out.
const CARRIED_OUT: [Fault; 2] = [Fault::AnswerStalled, Fault::Answer(504)];

/// Faults in answers that have a body.
const ANSWERS: [Fault; 2] = [Fault::CutDownload { after: 9 }, Fault::StallDownload { after: 9 }];

const STATUSES: [u16; 14] = [400, 401, 403, 404, 408, 409, 410, 413, 415, 429, 500, 502, 503, 504];

/// Faults in data that comes from the source.
fn reads() -> Vec<Fault> {
    let mut faults = vec![Fault::IgnoreRange];
    for after in POSITIONS {
        faults.extend([Fault::CutDownload { after }, Fault::StallDownload { after }]);
        faults.push(Fault::CorruptDownload { at: after });
    }
    faults
}

/// Faults in data that goes to the target.
fn uploads() -> Vec<Fault> {
    let mut faults = CARRIED_OUT.to_vec();
    faults.extend([Fault::StoreOther, Fault::GaveUp(504)]);
    for after in POSITIONS {
        faults.extend([Fault::CutUpload { after }, Fault::StallUpload { after }]);
        faults.push(Fault::CorruptUpload { at: after });
    }
    for status in [413, 500, 503] {
        faults.push(Fault::RefuseUpload { status, after: SIZE / 2 });
    }
    // All data arrives, but is not stored.
    faults.extend([Fault::CutUpload { after: SIZE }, Fault::StallUpload { after: SIZE }]);
    faults.extend([415, 500, 504].map(|status| Fault::RefuseUpload { status, after: SIZE }));
    faults
}

/// Near the beginning, in the middle, and before the last byte.
const POSITIONS: [u64; 3] = [1, SIZE / 2, SIZE - 1];

impl Case {
    /// The number of affected requests. A listing takes two: one for hidden images, one for the
    /// others.
    pub(crate) fn count(&self) -> usize {
        match self.times {
            Times::Once if self.step.is_listing() => 2,
            Times::Once => 1,
            Times::Always => usize::MAX,
        }
    }

    /// Whether a server stalls.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(
            self.fault,
            Fault::Stall
                | Fault::AnswerStalled
                | Fault::StallDownload { .. }
                | Fault::StallUpload { .. }
        )
    }

    /// Whether the target stores other data than it received.
    pub(crate) fn spoils(&self) -> bool {
        matches!(self.fault, Fault::StoreOther | Fault::CorruptUpload { .. })
    }

    /// The permitted outcomes for the affected image.
    pub(crate) fn ends(&self) -> &'static [End] {
        use End::{Exact, Failed, Quarantined, WithoutMembers};
        let once = self.times == Times::Once;
        match (self.step, self.fault) {
            _ if self.spoils() => &[Quarantined],
            _ if self.is_harmless() => &[Exact],
            // A user who cannot see the members does not own the image.
            (Step::MembersSource, Fault::Status(403 | 404 | 410)) => &[WithoutMembers],
            // The first listing only looks for replicas under other ids.
            (Step::ListReplica, Fault::WrongDigest | Fault::WrongSize) if once => {
                &[Exact, Quarantined]
            }
            (Step::Verify | Step::ListReplica, Fault::WrongDigest | Fault::WrongSize) => {
                &[Quarantined]
            }
            // The download can resume if each attempt brings more than one byte.
            (Step::Read, Fault::CutDownload { after } | Fault::StallDownload { after }) => {
                if after > 1 { &[Exact, Failed] } else { &[Failed] }
            }
            _ if self.is_carried_out() => &[Exact, Failed],
            _ if once && self.may_pass() => &[Exact, Failed],
            _ => &[Failed],
        }
    }

    /// Whether the fault affects nothing that the copy needs.
    fn is_harmless(&self) -> bool {
        let once = self.times == Times::Once;
        match (self.step, self.fault) {
            // Of two concurrent listings, the second sees the new token refused as well.
            (step, Fault::Status(401)) => once && !step.is_listing(),
            // The answer to a change is not used to judge it.
            (Step::Patch, Fault::WrongDigest | Fault::WrongSize) | (_, Fault::IgnoreRange) => true,
            // Before its creation there is no replica. The download resumes after the break. A
            // conflict may be another upload, which is over on a retry.
            (Step::GetTarget | Step::Upload, Fault::Status(410))
            | (Step::GetTarget, Fault::Status(404))
            | (Step::Read, Fault::CutDownload { .. } | Fault::StallDownload { .. })
            | (Step::Upload | Step::Verify, Fault::Status(409)) => once,
            // The digest that counts comes from the data as sent and stored.
            (step, Fault::NoDigest) => step != Step::Verify,
            _ => false,
        }
    }

    /// Whether the same request may succeed later.
    fn may_pass(&self) -> bool {
        match (self.step, self.fault) {
            (Step::Read, Fault::CorruptDownload { .. })
            | (Step::ListReplica, Fault::NoDigest)
            | (Step::Upload, Fault::NotGlance) => true,
            (step, Fault::Status(401)) => step.is_listing(),
            (_, fault) => is_passing(fault),
        }
    }

    /// Whether the request takes effect, so that a look at the image can reveal it.
    fn is_carried_out(&self) -> bool {
        match self.fault {
            Fault::AnswerLost | Fault::AnswerStalled | Fault::Answer(_) | Fault::GaveUp(_) => true,
            Fault::CutDownload { .. } | Fault::StallDownload { .. } => self.step == Step::Create,
            _ => false,
        }
    }
}

/// Whether a retry can help.
fn is_passing(fault: Fault) -> bool {
    match fault {
        Fault::Status(code) | Fault::Busy(code, _) | Fault::RefuseUpload { status: code, .. } => {
            matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504)
        }
        Fault::Stall
        | Fault::Lost
        | Fault::Redirect(_)
        | Fault::CutDownload { .. }
        | Fault::StallDownload { .. }
        | Fault::CutUpload { .. }
        | Fault::StallUpload { .. } => true,
        _ => false,
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, fault, times, targets, stack } = self;
        write!(f, "{step:?}, {fault:?}, {times:?}, {targets} targets, {stack}")
    }
}
