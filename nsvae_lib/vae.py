"""The model: an encoder q(z|x), a decoder p(x|z), a standard normal prior p(z). Explained in chapter 1."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from .checkpoints import read_safetensors, write_safetensors
from .data import check_images, to_float
from .networks import build
from .noise import NOISE_MODELS, make_noise

FORMAT = "nsvae-vae-1"
DEFAULT_LATENT_DIM = {1: 10, 3: 100}


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2014). Build one with `VAE.for_images`.

    Attributes: `encoder`, `decoder`, `noise` (the parts), `shape` (C, H, W), `latent_dim` D, and `provenance`, what is
    known of how a loaded model was made.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, noise: nn.Module, shape: tuple[int, int, int], latent_dim: int
    ):
        """Put a model together from its parts.

        Args:
            encoder: images [N, C, H, W] -> (mean, log-variance), each [N, D].
            decoder: latents [N, D] -> logits [N, C, H, W].
            noise: logits -> distribution over images, see `noise`.
            shape: (C, H, W) of one image.
            latent_dim: D.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.noise = noise
        self.shape = shape
        self.latent_dim = latent_dim
        self.architecture: dict[str, Any] | None = None
        self.provenance: dict[str, Any] = {}

    @classmethod
    def for_images(
        cls,
        shape: tuple[int, int, int],
        noise: str | nn.Module = "bernoulli",
        latent_dim: int | None = None,
        preset: str = "light",
        seed: int = 0,
        spectral_norm: bool = False,
        batch_norm: str = "trained",
        initialisation: str = "preset",
    ) -> "VAE":
        """A new, untrained VAE for images of shape (C, H, W).

        Args:
            shape: (1, H, W) for grey images, (3, H, W) for colour.
            noise: name of the noise model (`noise.NOISE_MODELS`) or a noise model.
            latent_dim: D, the number of latent dimensions; default 10 for grey and 100 for colour images.
            preset: size of the networks, "small", "light" or "authors" (see `networks`).
            seed: fixes the initial parameters; the global random state is left as it was.
            spectral_norm: divide the encoder's convolution kernels by their largest singular value (Miyato et al.,
                2018), which steadies adversarial training; the paper does so for colour images.
            batch_norm: of colour networks; grey ones have none. "trained": as usual; "frozen": its statistics stay
                at 0 and 1, as in the authors' code; "none": left out, as they do for adversarial training.
            initialisation: whose initial parameters: the "preset"'s, "pytorch" or "authors" (see `networks`).

        Raises:
            ValueError: unknown noise model, preset, batch norm or initialisation, or a shape that the networks cannot
                take.
        """
        channels, height, width = shape
        if latent_dim is None:
            latent_dim = DEFAULT_LATENT_DIM.get(channels, 10)
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs as well
            encoder, decoder = build((channels, height, width), latent_dim, preset, batch_norm, initialisation)
            if spectral_norm:
                for module in encoder.modules():
                    if isinstance(module, nn.Conv2d):
                        nn.utils.parametrizations.spectral_norm(module)
        vae = cls(encoder, decoder, make_noise(noise), (channels, height, width), latent_dim)
        vae.architecture = {
            "shape": list(vae.shape),
            "latent_dim": latent_dim,
            "preset": preset,
            "spectral_norm": spectral_norm,
            "batch_norm": batch_norm,
            "initialisation": initialisation,
            "seed": seed,
        }
        return vae

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def prior(self) -> Normal:
        """p(z) = Normal(0, 1) in each of the D dimensions."""
        zeros = torch.zeros(self.latent_dim, device=self.device)
        return Normal(zeros, torch.ones_like(zeros), validate_args=False)

    def encode(self, x: Tensor) -> Normal:
        """q(z|x), the approximate posterior: images [N, C, H, W] (uint8 or in [0, 1]) -> Normal [N, D]."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"this VAE takes images [N, {str(self.shape)[1:-1]}], got {list(x.shape)}")
        mean, log_variance = self.encoder(to_float(x.to(self.device)))
        return Normal(mean, (0.5 * log_variance).exp(), validate_args=False)

    def decode(self, z: Tensor) -> Independent:
        """p(x|z): latents [..., D] -> distribution over images [..., C, H, W]; `log_prob` in nats per image."""
        logits = self.decoder(z.reshape(-1, z.shape[-1]))
        return self.noise(logits.reshape(*z.shape[:-1], *self.shape))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n new images [n, C, H, W] in [0, 1]: the means of p(x|z) for z drawn from the prior."""
        z = torch.randn(n, self.latent_dim, generator=generator, device=self.device)
        return self.decode(z).mean

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images, uint8 or in [0, 1] -> means of p(x|z) at the mean z of q(z|x), [N, C, H, W] in [0, 1]."""
        images = check_images(images, self.shape).to(self.device)
        return self.decode(self.encode(images).mean).mean

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32, **provenance: Any) -> None:
        """Write the model as one safetensors file, whole or not at all, with a JSON description in its header.

        Args:
            path: where to; an existing file is replaced.
            dtype: number format of the stored parameters; float16 halves the file.
            provenance: anything JSON can hold: data, epochs, seed, ... It comes back as `vae.provenance`.

        Raises:
            ValueError: the model was not made by `VAE.for_images` or has a noise model of its own, so that a file could
                not rebuild it.
        """
        if self.architecture is None:
            raise ValueError("only a VAE made by VAE.for_images can be saved: its file must be able to rebuild it")
        noise = getattr(self.noise, "name", None)
        if noise not in NOISE_MODELS:
            raise ValueError(f"cannot save the noise model {self.noise}; known: {', '.join(NOISE_MODELS)}")
        description = {
            **self.architecture,
            "noise": noise,
            "provenance": {**self.provenance, **provenance},
            "nsvae_lib": version("nsvae_lib"),
            "torch": torch.__version__,
        }
        tensors = {
            k: v.detach().cpu().to(dtype if v.is_floating_point() else v.dtype) for k, v in self.state_dict().items()
        }
        write_safetensors(path, tensors, FORMAT, description)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> "VAE":
        """The model that `save` wrote, on `device` (default: the best there is), in evaluation mode.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a file that `VAE.save` wrote, or one whose parameters do not fit its description.
        """
        tensors, description = read_safetensors(path, FORMAT)
        try:
            architecture = {key: description[key] for key in ("shape", "latent_dim", "preset", "spectral_norm")}
            later = {"batch_norm": "trained", "initialisation": "preset", "seed": 0}  # absent from the first files
            architecture |= {key: description.get(key, default) for key, default in later.items()}
            vae = cls.for_images(noise=description["noise"], **architecture)
            vae.load_state_dict(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"{path}: the parameters do not fit the description in the file: {error}") from error
        vae.provenance = description["provenance"]
        return vae.to(device or best_device()).eval()

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.parameters())
        noise = getattr(self.noise, "name", type(self.noise).__name__)
        return f"VAE(shape={self.shape}, noise={noise!r}, latent_dim={self.latent_dim}, parameters={count:,})"
