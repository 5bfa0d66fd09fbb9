//! Many records in a Glance, written directly to its database, so that thousands take seconds.

use super::config::secret;
use super::layout::Layout;
use super::packages;
use crate::cloud::services::glance::Glance;
use crate::cloud::services::postgres;
use crate::failure::Failure;
use crate::output::say;

/// Active records with some properties each and no data behind them. The ids end with a number,
/// counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// This number of private, public and community images.
    Unshared(u32),
    /// This number of shared images with one member each.
    Shared(u32),
}

/// Creates records.
pub(crate) fn fill(layout: &Layout, glance: Glance, records: Records) -> Result<(), Failure> {
    let (count, visibility, members) = match records {
        Records::Unshared(count) => (count, UNSHARED, ""),
        Records::Shared(count) => (count, "'shared'", MEMBERS),
    };
    let programs = packages::installed()?;
    let secret = secret(layout)?;
    let statement = STATEMENT.replace("MEMBERS", members).replace("VISIBILITY", visibility);
    let statement = statement.replace("COUNT", &count.to_string());
    postgres::query(layout, &programs, &secret, glance.database(), &statement)?;
    say(format_args!("cloud: {} has {count} more records", glance.name()));
    Ok(())
}

const STATEMENT: &str = "
with made as (
  insert into images (id, name, size, status, created_at, updated_at, deleted, disk_format,
    container_format, checksum, owner, min_disk, min_ram, protected, visibility, os_hidden,
    os_hash_algo, os_hash_value)
  select '00000000-0000-4000-8000-' || lpad(n::text, 12, '0'), 'image ' || n, n, 'active', now(),
    now(), false, 'raw', 'bare', md5(n::text), md5('owner'), 0, 0, false,
    VISIBILITY, false, 'sha512', encode(sha512(n::text::bytea), 'hex')
  from generate_series(1, COUNT) n returning id)MEMBERS
insert into image_properties (image_id, name, value, created_at, updated_at, deleted)
select id, 'property_' || p, id || p, now(), now(), false from made, generate_series(1, 5) p";

/// The visibility of the image `n`.
const UNSHARED: &str = "(array['private', 'public', 'community']::image_visibility[])[n % 3 + 1]";

const MEMBERS: &str = ",
shared as (
  insert into image_members (image_id, member, can_share, status, created_at, updated_at, deleted)
  select id, md5('member'), false, 'accepted', now(), now(), false from made)";
