"""Images per second of `nsvae_lib.fit` against three other ways to train the same VAE, in one run.

    pip install "nsvae_lib[benchmark]"
    python benchmarks/training_speed.py [--images 2000] [--rounds 5] [--threads 2]

All train the light grey preset (302,645 parameters, 82 MFLOP an image and step) with RMSProp at batch 50 on images
made up on the spot: what is in them does not change the speed. The ways take turns, round by round, so that a
machine that slows down slows them all. Written: a table, and `training_speed.json` with --json.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nsvae_lib import VAE, fit, kl_divergence
from nsvae_lib.bounds import draw_latents
from nsvae_lib.networks import ConvolutionToFewChannels

BATCH, LR = 50, 1e-4
FLOP_PER_IMAGE = 82e6
SHAPE = (1, 28, 28)


def new_vae(own_kernel: bool) -> VAE:
    """The light model; `own_kernel=False` puts torch's Conv2d where the library has a faster equivalent."""
    vae = VAE.for_images(SHAPE)
    last = vae.decoder.layers[-1]
    if not own_kernel and isinstance(last, ConvolutionToFewChannels):
        plain = nn.Conv2d(last.in_channels, last.out_channels, last.kernel_size, padding=last.padding)
        plain.load_state_dict(last.state_dict())
        vae.decoder.layers[-1] = plain
    return vae


def negative_elbo(vae: VAE, x: Tensor) -> Tensor:
    q = vae.encode(x)
    z = draw_latents(q, 1)[0]
    return kl_divergence(q, vae.prior).mean() - vae.decode(z).log_prob(x).mean()


def optimizer(parameters) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, lr=LR, alpha=0.9, eps=1e-10)


def ours(images: Tensor) -> None:
    fit(new_vae(True), images, epochs=1, batch_size=BATCH, lr=LR, device="cpu", progress=False)


def dataloader(images: Tensor, own_kernel: bool = False) -> None:
    vae = new_vae(own_kernel)
    opt = optimizer(vae.parameters())
    for (x,) in DataLoader(TensorDataset(images.float() / 255), BATCH, shuffle=True):
        opt.zero_grad()
        negative_elbo(vae, x).backward()
        opt.step()


def two_pass(images: Tensor, own_kernel: bool = False) -> None:
    vae = new_vae(own_kernel)
    encoder, decoder = optimizer(vae.encoder.parameters()), optimizer(vae.decoder.parameters())
    for (x,) in DataLoader(TensorDataset(images.float() / 255), BATCH, shuffle=True):
        for opt in (encoder, decoder):
            opt.zero_grad()
            negative_elbo(vae, x).backward()
            opt.step()


def pythae(images: Tensor, own_kernel: bool = False) -> None:
    import logging

    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE as PythaeVAE
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.WARNING)
    vae = new_vae(own_kernel)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = vae.encoder

        def forward(self, x):
            mean, log_variance = self.network(x)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = vae.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z).sigmoid())

    config = VAEConfig(input_dim=SHAPE, latent_dim=vae.latent_dim, reconstruction_loss="bce")
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaseTrainer(
            PythaeVAE(config, Encoder(), Decoder()),
            train_dataset=BaseDataset(images.float() / 255, torch.zeros(len(images))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=1,
                per_device_train_batch_size=BATCH,
                learning_rate=LR,
                optimizer_cls="RMSprop",
                optimizer_params={"alpha": 0.9, "eps": 1e-10},
                no_cuda=True,
            ),
        )
        trainer.prepare_training()
        trainer.train_step(epoch=1)


WAYS: dict[str, Callable[[Tensor], None]] = {
    "nsvae_lib.fit": ours,
    "DataLoader loop": dataloader,
    "pythae 0.1.2": pythae,
    "naive two-pass": two_pass,
    "DataLoader loop, our last layer": lambda images: dataloader(images, True),
    "pythae 0.1.2, our last layer": lambda images: pythae(images, True),
    "naive two-pass, our last layer": lambda images: two_pass(images, True),
}


def matrix_product_peak(size: int = 2048, repeats: int = 10) -> float:
    """FLOP/s of a square float32 matrix product: the best of `repeats`."""
    a = torch.rand(size, size)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (options.images, *SHAPE), dtype=torch.uint8, generator=generator)
    peak = matrix_product_peak()
    for way in WAYS.values():  # warm-up
        way(images[: 4 * BATCH])
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(images)
            speeds[name].append(len(images) / (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}; ", end="")
    print(f"matrix product peak {peak / 1e9:.0f} GFLOP/s; {options.rounds} rounds of {options.images} images")
    print(f"{'':34}images/s   fit is faster by   share of peak")
    for name, speed in median.items():
        ratio = statistics.median(a / b for a, b in zip(speeds["nsvae_lib.fit"], speeds[name], strict=True))
        print(f"{name:34}{speed:8.0f}   {ratio:12.2f} x   {speed * FLOP_PER_IMAGE / peak:12.0%}")
    if options.json:
        figures = {"torch": torch.__version__, "threads": options.threads, "peak_gflops": peak / 1e9}
        options.json.write_text(json.dumps(figures | {"images_per_second": speeds}, indent=1))


if __name__ == "__main__":
    main()
