//! What the program does with the bytes of a checkpoint, up to the graph.

use yolo9::checkpoint::{Checkpoint, PickleReport};
use yolo9::model::Network;

pub fn use_checkpoint(bytes: Vec<u8>) {
    let _ = PickleReport::from_bytes("fuzz", &bytes);
    let Ok(checkpoint) = Checkpoint::from_bytes("fuzz", bytes) else { return };
    for name in checkpoint.tensors().keys() {
        let _ = checkpoint.read_f32(name);
    }
    let _ = Network::assemble(&checkpoint, None);
    // What can be written can be read back.
    if let Ok(bytes) = checkpoint.to_safetensors() {
        let again = Checkpoint::from_bytes("again", bytes).expect("a file of ours is read");
        assert_eq!(again.tensors().len(), checkpoint.tensors().len());
    }
}
