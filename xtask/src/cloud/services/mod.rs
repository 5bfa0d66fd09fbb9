//! The servers of the cloud, one file each.

pub(super) mod glance;
pub(super) mod keystone;
pub(super) mod memcached;
pub(super) mod nginx;
pub(super) mod postgres;
pub(super) mod uwsgi;
