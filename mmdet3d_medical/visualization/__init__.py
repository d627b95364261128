from .slices import BoxLayer, draw_slice, lesion_points, points_to_show, slice_figure

__all__ = ['BoxLayer', 'draw_slice', 'lesion_points', 'points_to_show', 'slice_figure']
