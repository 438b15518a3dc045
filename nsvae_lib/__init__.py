"""Negative sampling in variational autoencoders: a small library to read, and the book's engine."""

from .bounds import (
    bits_per_dim,
    cubo,
    effective_sample_size,
    elbo,
    eubo,
    iwae,
    kl_divergence,
    log_weights,
    refit_posterior,
)
from .data import ImageData, available, load
from .detector import Detector
from .evaluation import Evaluation, auroc, auroc_monitor, evaluate
from .linear_gaussian import LinearGaussian
from .negatives import FromImages, Generated, Mixture, NoisyInliers, UniformNoise
from .noise import Bernoulli, ContinuousBernoulli, Gaussian
from .objectives import ELBO, Adversarial, NegativePrior, UpperBound, prior_distance
from .scores import likelihood_regret, score
from .training import History, fit
from .vae import VAE
from .zoo import pretrained, pretrained_names

__all__ = [
    "ELBO",
    "VAE",
    "Adversarial",
    "Bernoulli",
    "ContinuousBernoulli",
    "Detector",
    "Evaluation",
    "FromImages",
    "Gaussian",
    "Generated",
    "History",
    "ImageData",
    "LinearGaussian",
    "Mixture",
    "NegativePrior",
    "NoisyInliers",
    "UniformNoise",
    "UpperBound",
    "auroc",
    "auroc_monitor",
    "available",
    "bits_per_dim",
    "cubo",
    "effective_sample_size",
    "elbo",
    "eubo",
    "evaluate",
    "fit",
    "iwae",
    "kl_divergence",
    "likelihood_regret",
    "load",
    "log_weights",
    "pretrained",
    "pretrained_names",
    "prior_distance",
    "refit_posterior",
    "score",
]
