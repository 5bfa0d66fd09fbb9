//! Reads image data, and byte ranges of it even if the Glance does not support ranges.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Response, StatusCode, header};

use glance_core::body::Body;
use glance_core::error::BodyError;
use glance_core::image::ImageId;
use glance_core::store::{ByteRange, ImageStore, StoreError, StoreErrorKind};

use super::{GlanceStore, image_path};
use crate::request::Operation;

/// Reads `range`. If the server ignores the range, the data before it is read and discarded: ranges
/// are newer than the API (Pike), not every backend supports them, and a proxy may drop the header.
pub(super) async fn read(
    glance: &GlanceStore,
    id: &ImageId,
    range: ByteRange,
) -> Result<Body, StoreError> {
    let operation = Operation::new("read the data", id);
    let answer = match ask(glance, id, range, &operation).await {
        // The backend has no random access.
        Err(error) if error.kind == StoreErrorKind::Invalid && range != ByteRange::ALL => {
            refuse_middle(glance, range, &operation)?;
            ask(glance, id, ByteRange::ALL, &operation).await?
        }
        answer => answer?,
    };
    match answer.status() {
        StatusCode::PARTIAL_CONTENT if begins_at(answer.headers(), range.offset) => {
            Ok(answer.into_body())
        }
        StatusCode::OK if range == ByteRange::ALL => Ok(answer.into_body()),
        StatusCode::OK => {
            refuse_middle(glance, range, &operation)?;
            cut(glance, answer.into_body(), range, &operation)
        }
        StatusCode::NO_CONTENT => nothing(glance, id, range, &operation).await,
        _ => Err(glance.client.unexpected(&answer, &operation)),
    }
}

async fn ask(
    glance: &GlanceStore,
    id: &ImageId,
    range: ByteRange,
    operation: &Operation,
) -> Result<Response<Body>, StoreError> {
    let headers = (range != ByteRange::ALL).then(|| (header::RANGE, range_header(range)));
    let path = format!("{}/file", image_path(id));
    glance.client.get(&path, headers.as_slice(), operation).await
}

/// Rejects a bounded range that does not start at 0. Such a range is one of many parts, and each
/// part would cost the download of everything before it.
fn refuse_middle(
    glance: &GlanceStore,
    range: ByteRange,
    operation: &Operation,
) -> Result<(), StoreError> {
    match range.offset > 0 && range.length.is_some() {
        true => Err(glance.client.error(
            StoreErrorKind::RangesUnsupported,
            operation,
            "the server does not support range requests",
        )),
        false => Ok(()),
    }
}

/// Whether the response starts at `offset`. A missing `Content-Range` counts as a match.
fn begins_at(headers: &HeaderMap, offset: u64) -> bool {
    let Some(described) = headers.get(header::CONTENT_RANGE) else { return true };
    let first = described.to_str().ok().and_then(|text| text.strip_prefix("bytes "));
    first.and_then(|text| text.split('-').next()?.parse().ok()) == Some(offset)
}

/// Cuts `range` out of the data of a whole image.
fn cut(
    glance: &GlanceStore,
    whole: Body,
    range: ByteRange,
    operation: &Operation,
) -> Result<Body, StoreError> {
    let ByteRange { offset, length } = range;
    let left = whole.size().map(|size| size.saturating_sub(offset));
    if left == Some(0) && offset > 0 {
        return Err(glance.client.error(
            StoreErrorKind::Range,
            operation,
            "the range is past the end of the data",
        ));
    }
    let size = left.map(|left| length.map_or(left, |length| length.min(left)));
    let parts = stream::try_unfold(
        (whole, offset, length.unwrap_or(u64::MAX)),
        |(mut whole, mut before, mut wanted)| async move {
            while wanted > 0 {
                let Some(mut chunk) = whole.next().await.transpose()? else { break };
                let _ = take(&mut chunk, &mut before);
                let part = take(&mut chunk, &mut wanted);
                if !part.is_empty() {
                    return Ok::<_, BodyError>(Some((part, (whole, before, wanted))));
                }
            }
            Ok(None)
        },
    );
    Ok(Body::from_stream(parts, size))
}

/// Removes up to `count` bytes from the front of `chunk`, returns them and reduces `count`.
fn take(chunk: &mut Bytes, count: &mut u64) -> Bytes {
    let part =
        chunk.split_to(usize::try_from(*count).map_or(chunk.len(), |it| it.min(chunk.len())));
    *count -= part.len() as u64;
    part
}

/// Handles 204, with which Glance answers for an image without data: a queued one, or one of zero
/// bytes, whose record may lack the size.
async fn nothing(
    glance: &GlanceStore,
    id: &ImageId,
    range: ByteRange,
    operation: &Operation,
) -> Result<Body, StoreError> {
    let image = glance.get(id).await?;
    match (image.status.has_data() && image.size.unwrap_or(0) == 0, range.offset) {
        (true, 0) => Ok(Body::empty()),
        (true, _) => {
            Err(glance.client.error(StoreErrorKind::Range, operation, "the image is empty"))
        }
        (false, _) => {
            let reason = format!("the image has no data (status {})", image.status);
            let error = |kind| glance.client.error(kind, operation, reason);
            Err(match image.status.has_data() {
                true => error(StoreErrorKind::NotFound).hint(DATA_LOST),
                false => error(StoreErrorKind::Conflict),
            })
        }
    }
}

/// The hint for data that should be there.
const DATA_LOST: &str = "ask the administrator of this Glance to restore the data, or leave the image \
    out with --exclude";

fn range_header(range: ByteRange) -> String {
    let ByteRange { offset, length } = range;
    match length {
        None => format!("bytes={offset}-"),
        Some(length) => {
            format!("bytes={offset}-{}", offset.saturating_add(length).saturating_sub(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_begins_elsewhere_is_not_the_one_asked_for() {
        let begins = |described: &'static str| {
            let headers = [(header::CONTENT_RANGE, described.parse().unwrap())];
            begins_at(&headers.into_iter().collect(), 7)
        };
        assert!(begins("bytes 7-9/10") && begins_at(&HeaderMap::new(), 7));
        assert!(!begins("bytes 0-9/10") && !begins("bytes 70-90/100") && !begins("lines 7-9/10"));
    }

    #[tokio::test]
    async fn a_part_is_cut_out_of_chunks() {
        let taken = |mut before: u64, mut wanted: u64| {
            let mut taken = Vec::new();
            for chunk in ["abc", "", "defg", "h"] {
                let mut chunk = Bytes::from_static(chunk.as_bytes());
                let _ = take(&mut chunk, &mut before);
                taken.extend_from_slice(&take(&mut chunk, &mut wanted));
            }
            String::from_utf8(taken).unwrap()
        };
        assert_eq!(taken(0, 9), "abcdefgh");
        assert_eq!(taken(2, 3), "cde");
        assert_eq!(taken(3, 4), "defg");
        assert_eq!(taken(8, 4), "");
    }
}
