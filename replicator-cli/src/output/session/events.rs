//! The events of a run as lines of NDJSON.

use glance_core::image::{Image, ImageId};
use replicator_engine::events::Progress;
use replicator_engine::{Event, Proven};
use serde_json::{Value, json};

use super::courses::word;

/// The name and the fields of an event. `names` are the targets. `None` for an event that the document
/// of the command reports itself.
pub(super) fn described(event: &Event<'_>, names: &[&str]) -> Option<(&'static str, Vec<Field>)> {
    let name = |target: usize| json!(names.get(target));
    let described = match event {
        Event::Listed { images, bytes, done, .. } => {
            let fields =
                [("images", json!(images)), ("bytes", json!(bytes)), ("done", json!(done))];
            ("listed", fields.to_vec())
        }
        Event::Planned { target, image, state, action, bytes } => {
            let (target, image) = (("target", name(*target)), ("image", subject(image)));
            let step = [("state", json!(state.as_str())), ("action", json!(action))];
            ("planned", [&[target, image][..], &step, &[("bytes", json!(bytes))]].concat())
        }
        Event::Started { target, image, attempt } => {
            let (target, image) = (("target", name(*target)), ("image", subject(image)));
            ("started", vec![target, image, ("attempt", json!(attempt))])
        }
        Event::Progress { image, progress } => {
            let targets = targets(progress, names);
            let read = ("bytes_read", json!(progress.read.total));
            ("progress", vec![("image", subject(image)), read, ("targets", targets)])
        }
        Event::Retrying { image, target, side, retry } => {
            let id = json!(image.map(ImageId::as_str));
            let of = [("target", target.map_or(Value::Null, name)), ("id", id)];
            let pause = retry.pause.map(|pause| pause.as_secs_f64());
            let retry = [
                ("side", json!(word(*side))),
                ("attempt", json!(retry.attempt)),
                ("of", json!(retry.of)),
                ("pause", json!(pause)),
                ("reason", json!(retry.reason)),
            ];
            ("retrying", [&of[..], &retry].concat())
        }
        Event::Adjusted { pace, reason, bottleneck, rate } => {
            let fields = [
                ("images", json!(pace.images)),
                ("connections", json!(pace.readers)),
                ("reason", json!(reason.as_str())),
                ("limited_by", json!(bottleneck.as_str())),
                ("rate", json!(rate)),
            ];
            ("adjusted", fields.to_vec())
        }
        Event::Stalled { image, target, side, silent, gives_up_in } => {
            let of = [("target", target.map_or(Value::Null, name)), ("image", subject(image))];
            let silence = [
                ("side", json!(word(*side))),
                ("seconds", json!(silent.as_secs_f64())),
                ("gives_up_in", json!(gives_up_in.map(|time| time.as_secs_f64()))),
            ];
            ("stalled", [&of[..], &silence].concat())
        }
        Event::Verified { target, image, by, .. } => {
            let (target, image) = (("target", name(*target)), ("image", subject(image)));
            ("verified", vec![target, image, ("proof", proof_json(by))])
        }
        _ => return None,
    };
    Some(described)
}

type Field = (&'static str, Value);

fn subject(image: &Image) -> Value {
    json!({ "id": image.id.as_str(), "name": image.attributes.name, "size": image.size })
}

fn targets(progress: &Progress, names: &[&str]) -> Value {
    let targets = progress.targets.iter().map(|one| {
        json!({
            "target": names.get(one.target), "bytes_sent": one.sent.total,
            "activity": one.activity.as_str(),
        })
    });
    targets.collect()
}

/// The field `proof` of an image.
pub(crate) fn proof_json(proven: &Proven) -> Value {
    let (by, algorithm) = match proven {
        Proven::Digest(algorithm) => ("digest", Some(algorithm)),
        Proven::Remembered(algorithm) => ("remembered_digest", Some(algorithm)),
        Proven::Size => ("size", None),
        Proven::Transfer => ("transfer", None),
        Proven::Record => ("record", None),
        _ => return Value::Null,
    };
    json!({ "by": by, "algorithm": algorithm })
}
