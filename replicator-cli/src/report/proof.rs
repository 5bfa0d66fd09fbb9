//! How image data was proven, in words.

use replicator_engine::Proven;

/// The text that follows an image in a line of a report.
pub(crate) fn sentence(proven: &Proven) -> String {
    match proven {
        Proven::Digest(algorithm) => format!("verified ({algorithm})"),
        Proven::Remembered(algorithm) => {
            format!("verified ({algorithm} remembered from an earlier read)")
        }
        Proven::Size => "size only: the source has no digest".to_owned(),
        Proven::Transfer => {
            "only the transfer is verified: the source has neither a digest nor a size".to_owned()
        }
        Proven::Record => "record copied".to_owned(),
        _ => "copied".to_owned(),
    }
}

/// The value of the field `proof` of a JSON report.
pub(crate) fn word(proven: &Proven) -> String {
    match proven {
        Proven::Digest(algorithm) => algorithm.clone(),
        Proven::Remembered(algorithm) => format!("remembered {algorithm}"),
        Proven::Size => "size".to_owned(),
        Proven::Transfer => "transfer".to_owned(),
        Proven::Record => "record".to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// The number of images of a report by the kind of their proof.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    verified: u64,
    size: u64,
    transfer: u64,
    records: u64,
}

impl Proofs {
    pub(crate) fn take(&mut self, proven: &Proven) {
        match proven {
            Proven::Digest(_) | Proven::Remembered(_) => self.verified += 1,
            Proven::Size => self.size += 1,
            Proven::Transfer => self.transfer += 1,
            Proven::Record => self.records += 1,
            _ => {}
        }
    }

    /// Adds the numbers of another report.
    pub(crate) fn add(&mut self, other: &Self) {
        self.verified += other.verified;
        self.size += other.size;
        self.transfer += other.transfer;
        self.records += other.records;
    }

    /// A summary of `copied` images, with their total size `bytes` as text.
    pub(crate) fn summary(&self, copied: u64, bytes: &str) -> String {
        if self.verified == copied {
            return format!("{copied} copied and verified ({bytes})");
        }
        let kinds = [
            (self.verified, "verified"),
            (self.size, "by size only"),
            (self.transfer, "with only the transfer verified"),
            (self.records, "without data"),
        ];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}")).collect();
        format!("{copied} copied ({}; {bytes})", kinds.join(", "))
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "verified": self.verified, "size_only": self.size,
            "transfer_only": self.transfer, "records": self.records,
        })
    }
}
