"""Negative sampling in variational autoencoders: a small library to read, and the book's engine."""

from .bounds import bits_per_dim, elbo, iwae, kl_divergence, log_weights
from .data import ImageData, available, load
from .evaluation import Evaluation, auroc, evaluate
from .linear_gaussian import LinearGaussian
from .noise import Bernoulli, ContinuousBernoulli, Gaussian
from .objectives import ELBO
from .scores import score
from .training import History, fit
from .vae import VAE
from .zoo import pretrained, pretrained_names

__all__ = [
    "ELBO",
    "VAE",
    "Bernoulli",
    "ContinuousBernoulli",
    "Evaluation",
    "Gaussian",
    "History",
    "ImageData",
    "LinearGaussian",
    "auroc",
    "available",
    "bits_per_dim",
    "elbo",
    "evaluate",
    "fit",
    "iwae",
    "kl_divergence",
    "load",
    "log_weights",
    "pretrained",
    "pretrained_names",
    "score",
]
