from .compat import join_openmmlab
from .setup_env import register_all_modules

__all__ = ['join_openmmlab', 'register_all_modules']
