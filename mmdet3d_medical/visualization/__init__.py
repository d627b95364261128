from .slices import BoxLayer, draw_slice, lesion_points, slice_figure

__all__ = ['BoxLayer', 'draw_slice', 'lesion_points', 'slice_figure']
