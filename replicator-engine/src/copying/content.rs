//! Opens the data of an image, and rejects data that the target would reject after an upload.

use glance_core::content_format;
use glance_core::image::Image;
use glance_core::store::ByteRange;

use super::ImageCopy;
use crate::error::CopyError;
use crate::policy::ContentCheck;
use crate::streaming::fan_out::Opened;

impl ImageCopy<'_> {
    /// Opens the data. The target may already hold the first bytes of it. Fails if the target would
    /// reject the data for the formats in `record`.
    pub(super) async fn open(&mut self, record: &Image) -> Result<Opened, CopyError> {
        let begun = self.partial_data(record).await?;
        let opened = self.share.open(begun).await?;
        let size = self.image.size.or(opened.data.size());
        let (ContentCheck::Glance, Some(size)) = (self.replication.policy.content, size) else {
            return Ok(opened);
        };
        let (head, data) = opened.data.peek(content_format::HEAD).await;
        self.judge_head(record, &head, size).map(|()| Opened { data, ..opened })
    }

    /// Rejects data that the target would reject after an import. Glance would keep an unusable
    /// record after a failed import, too.
    pub(super) async fn check_head(&self, record: &Image) -> Result<(), CopyError> {
        let (image, replication) = (self.image, self.replication);
        let (ContentCheck::Glance, Some(size)) = (replication.policy.content, image.size) else {
            return Ok(());
        };
        for length in [content_format::SHORT_HEAD, content_format::HEAD] {
            let range = ByteRange { offset: 0, length: Some(length as u64) };
            let data = replication.source.read(&image.id, range).await;
            let (head, _) = data.map_err(CopyError::Source)?.peek(length).await;
            if head.len() < length
                || length == content_format::HEAD
                || content_format::is_enough(&head)
            {
                return self.judge_head(record, &head, size);
            }
        }
        Ok(())
    }

    fn judge_head(&self, record: &Image, head: &[u8], size: u64) -> Result<(), CopyError> {
        let attributes = &record.attributes;
        let (Some(disk), Some(container)) = (&attributes.disk_format, &attributes.container_format)
        else {
            return Ok(());
        };
        // A read that broke off does not show a wrong format. The verifying body reports that
        // error.
        let broke_off = (head.len() as u64) < size.min(content_format::HEAD as u64);
        if broke_off && !content_format::is_enough(head) {
            return Ok(());
        }
        content_format::check(disk, container, head, size).map_err(|fault| {
            CopyError::FormatRejected { target_store: self.replication.target.to_string(), fault }
        })
    }
}
