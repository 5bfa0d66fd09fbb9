//! The namespaces that ship with Glance.

/// Whether some release of Glance ships a namespace with this name.
pub(super) fn is_shipped(name: &str) -> bool {
    SHIPPED.contains(&name)
}

/// The files in `etc/metadefs` of <https://opendev.org/openstack/glance> from Juno (2014) to 2026,
/// which `glance-manage db_load_metadefs` loads. A namespace itself does not show whether it was
/// shipped: sites load their own with the same command, and change the protection of the shipped
/// ones.
const SHIPPED: &[&str] = &[
    "CIM::ProcessorAllocationSettingData",
    "CIM::ResourceAllocationSettingData",
    "CIM::StorageAllocationSettingData",
    "CIM::VirtualSystemSettingData",
    "OS::Cinder::Volumetype",
    "OS::Compute::AggregateDiskFilter",
    "OS::Compute::AggregateIoOpsFilter",
    "OS::Compute::AggregateNumInstancesFilter",
    "OS::Compute::CPUMode",
    "OS::Compute::CPUPinning",
    "OS::Compute::GuestMemoryBacking",
    "OS::Compute::GuestShutdownBehavior",
    "OS::Compute::HostCapabilities",
    "OS::Compute::Hypervisor",
    "OS::Compute::InstanceData",
    "OS::Compute::Libvirt",
    "OS::Compute::LibvirtImage",
    "OS::Compute::Quota",
    "OS::Compute::RandomNumberGenerator",
    "OS::Compute::TPM",
    "OS::Compute::Trust",
    "OS::Compute::VMwAre",
    "OS::Compute::VMware",
    "OS::Compute::VMwareFlavor",
    "OS::Compute::VMwareQuotaFlavor",
    "OS::Compute::VTPM",
    "OS::Compute::VirtCPUTopology",
    "OS::Compute::Watchdog",
    "OS::Compute::XenAPI",
    "OS::Glance:CommonImageProperties",
    "OS::Glance::CommonImageProperties",
    "OS::Glance::Signatures",
    "OS::OperatingSystem",
    "OS::Software::DBMS",
    "OS::Software::Runtimes",
    "OS::Software::WebServers",
];
