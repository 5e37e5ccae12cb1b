"""The threads that work side by side: as many as there are cores for the kernels, which hold no lock of Python's."""

from concurrent.futures import ThreadPoolExecutor

import numba

CORES = max(1, int(numba.config.NUMBA_NUM_THREADS))


class Pool(ThreadPoolExecutor):
    """A thread for each core; what waits when it is closed is not begun."""

    def __init__(self) -> None:
        super().__init__(CORES)

    def close(self) -> None:
        """Waits for what is under way, and leaves the rest."""
        self.shutdown(cancel_futures=True)
