//! `yolo9 train`.

#[cfg(feature = "train")]
mod command;
#[cfg(feature = "train")]
mod data;
#[cfg(feature = "train")]
mod digest;
#[cfg(feature = "train")]
mod folder;
#[cfg(feature = "train")]
mod report;
#[cfg(feature = "train")]
mod run;
#[cfg(feature = "train")]
mod settings;
#[cfg(feature = "train")]
mod start;

#[cfg(feature = "train")]
pub(crate) use command::run;

/// Without the feature, what is missing.
#[cfg(not(feature = "train"))]
pub(crate) fn run(
    _args: &crate::cli::TrainArgs,
    _globals: &crate::cli::Globals,
) -> anyhow::Result<crate::exit::ExitStatus> {
    anyhow::bail!(
        "this yolo9 was built without training, which takes a few minutes more to build; from a checkout: \
         `cargo install --path . --features train` (train-cuda, train-wgpu or train-metal for a GPU)"
    )
}
