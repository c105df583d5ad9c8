"""The twin's side of the measurements: a process on PyTorch, in channels last."""

import torch

from keras_frm.benchmark.random_batch import random_batch
from results.gpu.cases import Case
from results.gpu.timing import first_and_later
from results.torch_step import Network, sgd, training_step

CLASSES = 19
_MIB = 2**20
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure(case: Case) -> dict:
    """Return the times of a case, and the memory that PyTorch had allocated for it."""
    on_gpu = DEVICE.type == "cuda"
    if on_gpu:
        torch.backends.cudnn.benchmark = True  # XLA chooses its kernels by time, too
        torch.cuda.reset_peak_memory_stats()
    call = {"step": steps, "inference": predictions}[case.what](case)
    found = first_and_later(call, lambda _: on_gpu and torch.cuda.synchronize())
    if on_gpu:
        found["peak_mib"] = torch.cuda.max_memory_allocated() / _MIB
        found["device"] = torch.cuda.get_device_name()
    del call
    if on_gpu:
        torch.cuda.empty_cache()
    return {**found, "version": f"PyTorch {torch.__version__}"}


def steps(case: Case):
    """Return what takes a training step."""
    network, (images, labels) = network_of(case).train(), batch_of(case)
    optimizer = sgd(network)
    forward = torch.compile(network) if case.side == "torch_compile" else network

    def mixed(images):
        with autocast(case):
            logits = forward(images)
        return logits.float()  # the loss is computed in single precision

    return lambda: training_step(mixed, optimizer, images, labels)


def predictions(case: Case):
    """Return what predicts a batch."""
    network, (images, _) = network_of(case).eval(), batch_of(case)

    @torch.inference_mode()
    def predict():
        with autocast(case):
            return network(images).argmax(1).to(torch.uint8)

    return predict


def network_of(case: Case) -> Network:
    """Return the twin, with random weights."""
    torch.manual_seed(0)
    return Network(CLASSES).to(DEVICE, memory_format=torch.channels_last)


def autocast(case: Case):
    """Return PyTorch's mixed precision, where it is asked for."""
    enabled = case.dtype == "bfloat16"
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=enabled)


def batch_of(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random images and labels on the device."""
    images, labels = random_batch(case.batch, (case.height, case.width), CLASSES)
    # (B, H, W, 3) seen as (B, 3, H, W) is channels last.
    images = torch.from_numpy(images).permute(0, 3, 1, 2)
    return images.to(DEVICE), torch.from_numpy(labels).long().to(DEVICE)
