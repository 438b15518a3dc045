"""The model: shapes, seeds, files."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nsvae_lib.bounds import log_weights
from nsvae_lib.checkpoints import read_safetensors, write_safetensors
from nsvae_lib.networks import PRESETS, ConvolutionToFewChannels
from nsvae_lib.noise import Bernoulli
from nsvae_lib.vae import FORMAT, VAE

GREY, COLOUR = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize("preset", ["small", "light", "authors"])
@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 32, 24), (3, 16, 40)])
def test_shapes(shape, preset):
    vae = VAE.for_images(shape, latent_dim=7, preset=preset)
    x = torch.rand(2, *shape)
    q = vae.encode(x)
    assert q.mean.shape == q.stddev.shape == (2, 7) and (q.stddev > 0).all()
    assert vae.decode(q.mean).mean.shape == x.shape
    assert vae.decode(torch.randn(4, 2, 7)).log_prob(x).shape == (4, 2)
    assert vae.sample(3).shape == (3, *shape)
    assert vae.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("batch_norm", ["trained", "frozen", "none"])
def test_batch_norm_of_colour_networks(batch_norm, tmp_path):
    vae = VAE.for_images(COLOUR, latent_dim=4, batch_norm=batch_norm, seed=1).train()
    x = torch.rand(6, *COLOUR, generator=torch.Generator().manual_seed(0))
    together, alone = vae.encode(x).mean, torch.cat([vae.encode(one[None]).mean for one in x])
    vae.decode(together)
    # Only the usual kind lets an image's code depend on the others of its batch.
    assert torch.allclose(together, alone, atol=1e-5) == (batch_norm != "trained")
    norms = [m for m in vae.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == (0 if batch_norm == "none" else 7)
    assert all((m.running_mean.abs().max() > 0) == (batch_norm == "trained") for m in norms)
    if batch_norm == "frozen":
        norms[0].weight.data.fill_(2.0)
        assert not torch.allclose(vae.encode(x).mean, together)
    vae.save(tmp_path / "model.safetensors")
    same = VAE.load(tmp_path / "model.safetensors", "cpu")
    assert torch.equal(same.encode(x).mean, vae.eval().encode(x).mean)


def test_files_from_before_the_switch_have_trained_batch_norm(tmp_path):
    path = tmp_path / "model.safetensors"
    VAE.for_images(COLOUR, latent_dim=4).save(path)
    tensors, description = read_safetensors(path, FORMAT)
    del description["batch_norm"], description["format"]
    write_safetensors(path, tensors, FORMAT, description)
    assert VAE.load(path).architecture["batch_norm"] == "trained"


def test_unknown_batch_norm_lists_the_known():
    with pytest.raises(ValueError, match="unknown batch norm 'layer'; known: trained, frozen, none"):
        VAE.for_images(COLOUR, batch_norm="layer")


def test_unknown_initialisation_lists_the_known():
    with pytest.raises(ValueError, match="unknown initialisation 'zero'; known: preset, pytorch, authors"):
        VAE.for_images(GREY, initialisation="zero")


def test_initialisation_goes_with_any_preset():
    def spread(**options):
        return VAE.for_images(GREY, **options).encoder.features[4].weight.std().item()

    theirs = 0.02**0.5
    assert spread(initialisation="authors") == pytest.approx(theirs, rel=0.05)
    assert spread(preset="authors") == spread(preset="authors", initialisation="authors")
    assert spread(preset="authors") == pytest.approx(theirs, rel=0.05)
    assert spread() == spread(initialisation="pytorch") < theirs / 2
    assert spread(preset="authors", initialisation="pytorch") < theirs / 2


def test_parameter_counts():
    count = {p: sum(t.numel() for t in VAE.for_images(GREY, preset=p).parameters()) for p in PRESETS}
    assert count == {"small": 89_733, "light": 302_645, "authors": 513_301}


def test_default_latent_dimensions_are_the_papers():
    assert VAE.for_images(GREY).latent_dim == 10 and VAE.for_images(COLOUR).latent_dim == 100


def test_uint8_and_float_images_are_encoded_alike(tiny_vae):
    images = torch.randint(0, 256, (2, 1, 12, 12), dtype=torch.uint8)
    assert torch.equal(tiny_vae.encode(images).mean, tiny_vae.encode(images / 255).mean)


def test_seed_fixes_parameters_and_leaves_the_global_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    a, b, c = (VAE.for_images(GREY, seed=s) for s in (5, 5, 6))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.encoder.mean.weight, c.encoder.mean.weight)


def test_sampling_is_an_argument(tiny_vae):
    a, b = (tiny_vae.sample(2, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, tiny_vae.sample(2, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("channels", [1, 3])
def test_convolution_to_few_channels_is_a_convolution(channels):
    ours = ConvolutionToFewChannels(4, channels, 5, padding=2)
    theirs = nn.Conv2d(4, channels, 5, padding=2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 9, 7, requires_grad=True)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "gaussian-learned", "continuous-bernoulli"])
def test_save_and_load(tmp_path, noise):
    vae = VAE.for_images(GREY, noise, latent_dim=3, seed=9)
    path = tmp_path / "model.safetensors"
    vae.save(path, data="some images", epochs=2)
    again = VAE.load(path, device="cpu")
    assert again.provenance == {"data": "some images", "epochs": 2} and again.noise.name == noise
    assert {k: v.tolist() for k, v in again.state_dict().items()} == {
        k: v.tolist() for k, v in vae.state_dict().items()
    }
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_spectral_norm_bounds_the_encoders_kernels_and_survives_a_file(tmp_path):
    vae = VAE.for_images(GREY, latent_dim=3, spectral_norm=True)
    kernels = [m.weight.detach().flatten(1) for m in vae.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert len(kernels) == 5
    assert all(torch.linalg.matrix_norm(k, 2).item() == pytest.approx(1, abs=0.35) for k in kernels)
    vae.save(tmp_path / "model")
    again = VAE.load(tmp_path / "model", device="cpu")
    x = torch.rand(2, *GREY)
    assert torch.equal(again.encode(x).mean, vae.eval().encode(x).mean)


def test_half_precision_files_are_half_as_large(tmp_path):
    vae = VAE.for_images(GREY)
    vae.save(tmp_path / "full"), vae.save(tmp_path / "half", dtype=torch.float16)
    assert (tmp_path / "half").stat().st_size < 0.52 * (tmp_path / "full").stat().st_size
    assert VAE.load(tmp_path / "half").encoder.mean.weight.dtype == torch.float32


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    VAE.for_images(GREY, seed=1).save(path)
    before = path.read_bytes()

    def disk_full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("nsvae_lib.checkpoints.save_file", disk_full)
    with pytest.raises(OSError, match="No space"):
        VAE.for_images(GREY, seed=2).save(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_files_that_are_not_ours(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        VAE.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="not a safetensors file, or cut off"):
        VAE.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="expected a file of kind 'nsvae-vae-1', got None"):
        VAE.load(path)
    VAE.for_images(GREY).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cut off"):
        VAE.load(path)


def test_parameters_of_another_shape(tmp_path):
    path = tmp_path / "model.safetensors"
    VAE.for_images(GREY, latent_dim=3).save(path)
    tensors, description = read_safetensors(path, FORMAT)
    write_safetensors(path, tensors, FORMAT, description | {"latent_dim": 4})
    with pytest.raises(ValueError, match="do not fit the description"):
        VAE.load(path)


def test_only_known_architectures_are_saved(tmp_path):
    base = VAE.for_images(GREY)
    with pytest.raises(ValueError, match="made by VAE.for_images"):
        VAE(base.encoder, base.decoder, base.noise, GREY, 10).save(tmp_path / "x")


def test_the_description_is_json_in_the_header(tmp_path):
    path = tmp_path / "model.safetensors"
    VAE.for_images(GREY).save(path, epochs=3)
    header = path.read_bytes()
    length = int.from_bytes(header[:8], "little")
    description = json.loads(json.loads(header[8 : 8 + length])["__metadata__"]["nsvae"])
    assert description["provenance"] == {"epochs": 3} and description["noise"] == "bernoulli"
    assert {"shape", "latent_dim", "preset", "nsvae_lib", "torch"} <= set(description)
    assert len(load_file(path)) == len(VAE.for_images(GREY).state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'; known: small, light, authors"),
        ({"noise": "poisson"}, "unknown noise model"),
        ({"shape": (2, 28, 28)}, "1 .grey. or 3 .colour. channels"),
        ({"shape": (1, 30, 28)}, "multiples of 4, got 30 x 28"),
        ({"shape": (3, 28, 28)}, "multiples of 8"),
        ({"latent_dim": 0}, "latent_dim must be at least 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        VAE.for_images(**{"shape": GREY} | arguments)


def test_images_of_another_shape_are_named(tiny_vae):
    with pytest.raises(ValueError, match=r"takes images \[N, 1, 12, 12\], got \[2, 3, 12, 12\]"):
        tiny_vae.encode(torch.rand(2, 3, 12, 12))


def test_a_seed_leaves_the_generators_of_gpus_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("has seeded the GPUs"))
    first, second, other = (VAE.for_images(GREY, seed=seed).decoder.dense.weight for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_noise_that_a_file_cannot_rebuild_is_not_saved(tmp_path):
    class Mine(nn.Module):
        def forward(self, logits):
            return Bernoulli()(logits)

    for name in (None, "mine"):
        vae = VAE.for_images(GREY, Mine())
        if name is not None:
            vae.noise.name = name
        with pytest.raises(ValueError, match=r"cannot save the noise model Mine\(\); known: bernoulli"):
            vae.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_images_are_brought_to_where_the_model_is():
    vae = VAE.for_images((1, 12, 12), latent_dim=3).to("meta")
    x = torch.zeros(2, 1, 12, 12, dtype=torch.uint8)
    assert vae.encode(x).mean.device.type == "meta"
    assert log_weights(vae, x, 2).device.type == "meta"


def test_a_default_device_does_not_change_the_initial_parameters():
    with torch.device("meta"):
        there = VAE.for_images((1, 12, 12), latent_dim=3, seed=5)
    here = VAE.for_images((1, 12, 12), latent_dim=3, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(there.parameters(), here.parameters(), strict=True))


def test_a_file_keeps_the_seed_of_the_initial_parameters(tmp_path):
    VAE.for_images((1, 12, 12), latent_dim=3, seed=5).save(tmp_path / "a")
    VAE.load(tmp_path / "a").save(tmp_path / "b")
    assert VAE.load(tmp_path / "b").architecture["seed"] == 5
