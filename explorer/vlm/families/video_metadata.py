"""The times of a video's frames as transformers' processors want to be told them."""

from __future__ import annotations

from transformers.video_utils import VideoMetadata

from explorer.media.grid import Grid


def metadata(grid: Grid) -> VideoMetadata:
    """Tell when each frame of a grid is shown: a frame a second would be shown at its number."""
    time = grid.time
    return VideoMetadata(
        total_num_frames=len(time.seconds),
        fps=1.0,
        duration=time.lasts,
        frames_indices=list(time.seconds),
    )
