//! What the processor is and has.

/// A dot product of 8-bit integers in an instruction. Without it, the kernels for x86 add pairs of products in 16 bits.
#[must_use]
pub fn has_int8_dot_product() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// As it calls itself, where the system says it (Linux).
#[must_use]
pub fn name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = info.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().chars().filter(|c| !c.is_control()).take(100).collect())
}

/// A dot product of bf16 in an instruction.
pub(super) fn has_bf16() -> bool {
    has(&["avx512_bf16", "amx_bf16"])
}

/// Arithmetic in f16.
pub(super) fn has_f16() -> bool {
    has(&["avx512_fp16", "amx_fp16"])
}

/// OpenVINO comes for Linux only, where the system lists the features: the standard library's macro has not all of them.
fn has(any_of: &[&str]) -> bool {
    let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") else { return false };
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| any_of.contains(&flag))
}
