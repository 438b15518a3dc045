"""Live widgets: they compute in the reader's browser, in a notebook as on a page without a kernel."""

from .draw import Draw
from .latent_explorer import LatentExplorer

__all__ = ["Draw", "LatentExplorer"]
