"""Live widgets: they compute in the reader's browser, in a notebook as on a page without a kernel."""

from .bounds import Bounds
from .draw import Draw
from .kl_geometry import KLGeometry
from .latent_explorer import LatentExplorer
from .pixel_cost import PixelCost
from .roc import ROC
from .training import Training

__all__ = ["ROC", "Bounds", "Draw", "KLGeometry", "LatentExplorer", "PixelCost", "Training"]
