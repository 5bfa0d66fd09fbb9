//! Image data: download and upload.

use glance_core::ImageId;
use glance_core::body::Body;
use glance_core::image::{Image, Status};
use glance_core::store::ByteRange;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use http::{HeaderMap, Response, StatusCode};

use crate::api::GlanceApi;
use crate::api::answer::{Answer, Refusal, nothing};
use crate::api::inspect::{Announced, Fault, inspect};

impl GlanceApi {
    pub(crate) async fn download(&self, id: &ImageId, headers: &HeaderMap) -> Answer {
        let image = self.store.get(id).await?;
        if !image.status.has_data() {
            return Ok(nothing());
        }
        let mut response = match (headers.get(RANGE), image.size) {
            (Some(range), Some(size)) => self.read_part(id, Part::parse(range, size)?).await?,
            _ => self.read_whole(id).await?,
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(OCTETS));
        // The MD5 of the whole image, for a partial response too.
        let checksum = image.checksum.and_then(|md5| HeaderValue::try_from(md5).ok());
        headers.extend(checksum.map(|md5| (http::HeaderName::from_static("content-md5"), md5)));
        Ok(response)
    }

    async fn read_whole(&self, id: &ImageId) -> Answer {
        let data = self.store.read(id, ByteRange::ALL).await?;
        let length = data.size().map(|size| (CONTENT_LENGTH, size.into()));
        let mut response = Response::new(data);
        response.headers_mut().extend(length);
        Ok(response)
    }

    async fn read_part(&self, id: &ImageId, part: Part) -> Answer {
        let range = ByteRange { offset: part.first, length: Some(part.length()) };
        let mut response = Response::new(self.store.read(id, range).await?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, part.length().into());
        let described = format!("bytes {}-{}/{}", part.first, part.last, part.size);
        let described = HeaderValue::try_from(described);
        headers.extend(described.ok().map(|text| (CONTENT_RANGE, text)));
        Ok(response)
    }

    pub(crate) async fn upload(&self, id: &ImageId, headers: &HeaderMap, data: Body) -> Answer {
        let image = self.store.get(id).await?;
        let announced = self.check_upload(&image, headers)?;
        let (data, verdict) = inspect(data, announced);
        let stored = self.store.upload(id, data).await;
        match verdict.take() {
            None => Ok(stored.map(|_| nothing())?),
            Some(Fault::Size(text)) => Err(Refusal::invalid(text)),
            Some(Fault::Broken(error)) => Err(Refusal::Body(error)),
            Some(Fault::Format(unfit)) => {
                self.spoil(id);
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, unfit.to_string()))
            }
        }
    }

    /// Rejects an upload as far as possible before reading its data.
    fn check_upload(&self, image: &Image, headers: &HeaderMap) -> Result<Announced, Refusal> {
        if headers.get(CONTENT_TYPE).is_none_or(|given| given != OCTETS) {
            let text = format!("The data's type must be {OCTETS}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        if self.is_spoiled(&image.id) {
            let text = "The server has either erred or is incapable of performing this operation.";
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
        }
        if image.status != Status::Queued {
            let text =
                format!("Image status transition from {} to saving is not allowed", image.status);
            return Err(Refusal::conflict(text));
        }
        let attributes = &image.attributes;
        let (Some(disk), Some(container)) = (&attributes.disk_format, &attributes.container_format)
        else {
            return Err(Refusal::invalid(
                "Properties disk_format, container_format must be set prior to saving data.",
            ));
        };
        let (disk, container) = (disk.clone(), container.clone());
        Ok(Announced { size: announced_size(headers)?, disk, container })
    }
}

fn announced_size(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(size) = headers.get("x-openstack-image-size") else {
        return Ok(None);
    };
    let size = size.to_str().ok().and_then(|text| text.parse().ok());
    size.map(Some).ok_or_else(|| Refusal::invalid("x-openstack-image-size is not a size"))
}

/// The byte range of a request, both ends inclusive.
#[derive(Debug, PartialEq)]
struct Part {
    first: u64,
    last: u64,
    size: u64,
}

impl Part {
    fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    fn parse(header: &HeaderValue, size: u64) -> Result<Self, Refusal> {
        let malformed = || Refusal::invalid("The Range header is not one range of bytes.");
        let text = header.to_str().map_err(|_| malformed())?;
        let ends = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'));
        let (first, last) = ends.ok_or_else(malformed)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| malformed());
        let outside = || {
            let text = "The byte range lies outside the image's data.";
            Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, text)
        };
        let end = size.checked_sub(1).ok_or_else(outside)?;
        let (first, last) = match (first.trim(), last.trim()) {
            ("", last) => (size.saturating_sub(number(last)?), end),
            (first, "") => (number(first)?, end),
            (first, last) => (number(first)?, number(last)?),
        };
        if first > end || first > last {
            return Err(outside());
        }
        Ok(Self { first, last: last.min(end), size })
    }
}

const OCTETS: &str = "application/octet-stream";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end() {
        let parse = |text| Part::parse(&HeaderValue::from_static(text), 10);
        let part = |first, last| Part { first, last, size: 10 };
        assert_eq!(parse("bytes=2-").unwrap(), part(2, 9));
        assert_eq!(parse("bytes=2-3").unwrap(), part(2, 3));
        assert_eq!(parse("bytes=2-99").unwrap(), part(2, 9));
        assert_eq!(parse("bytes=-3").unwrap(), part(7, 9));
        assert_eq!(parse("bytes=-30").unwrap(), part(0, 9));
        for outside in ["bytes=10-", "bytes=-0"] {
            let refusal = parse(outside).unwrap_err();
            assert!(matches!(refusal, Refusal::Status(StatusCode::RANGE_NOT_SATISFIABLE, _)));
        }
        for malformed in ["bytes=0-1,3-4", "lines=1-2", "bytes=a-"] {
            let refusal = parse(malformed).unwrap_err();
            assert!(matches!(refusal, Refusal::Status(StatusCode::BAD_REQUEST, _)));
        }
    }
}
