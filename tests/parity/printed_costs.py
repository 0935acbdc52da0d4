"""What the papers print as the cost of a layer, to reproduce their tables.

They call these FLOPs; they are multiply-accumulates, and not what the page shows.
"""

from __future__ import annotations


def fastv_layer(tokens: int, width: int, ffn: int) -> int:
    """Count one layer as FastV does: 4nd^2 + 2n^2 d + 2ndm.

    n is text and image. Two FFN matrices, although Llama has three. FastV, arXiv 2403.06764,
    section 4.2, Eq. (5).
    """
    return 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * ffn


def pyramiddrop_layer(tokens: int, width: int, ffn: int) -> int:
    """Count one layer as PyramidDrop does: 4nd^2 + 2n^2 d + 3ndm.

    n is the image alone; with all tokens it is half of `layer_flops` of a Llama whose keys are not
    grouped. PyramidDrop, arXiv 2410.17247, section 4.1.
    """
    return 4 * tokens * width**2 + 2 * tokens**2 * width + 3 * tokens * width * ffn


def visionzip_total(tokens: int, width: int, ffn: int, layers: int) -> int:
    """Count all layers as VisionZip does: T (4nd^2 + 2n^2 d + 2ndm), T being the layers.

    n is system prompt, image and question. VisionZip, arXiv 2412.04467, section 2.1.
    """
    return layers * fastv_layer(tokens, width, ffn)
