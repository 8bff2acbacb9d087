//! Signs of what is around this kernel: said, never counted on.

use std::fs;

/// A virtual machine or a kernel in user space, by what it shows.
pub(crate) fn outer() -> Option<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let vendor = read("/sys/class/dmi/id/sys_vendor");
    if read("/proc/version").contains("gVisor")
        || read("/proc/sys/kernel/osrelease").contains("gvisor")
    {
        return Some("gVisor".into());
    }
    let flags = read("/proc/cpuinfo");
    let guest = flags.lines().any(|line| {
        line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "hypervisor")
    });
    guest.then(|| match vendor.trim() {
        "" => "virtual machine".into(),
        vendor => format!("virtual machine ({vendor})"),
    })
}
