"""A running median over the last N values, with the median absolute deviation, in bounded memory.

Source: the textbook pair of a ring (order of arrival) and a sorted array (order of size). The median absolute
deviation is read off the sorted array by bisection, as the k-th smallest of two sorted halves, in O(log n); no
copy is made and nothing is sorted twice. Invariants: both arrays hold the same values; their length is <= N.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort


class RunningMedian:
    """The last ``size`` values; ``median`` and ``spread`` of an empty one raise ``IndexError``."""

    __slots__ = ("_next", "_ring", "_size", "_sorted")

    def __init__(self, size: int) -> None:
        assert size > 0
        self._size = size
        self._ring = array("d")
        self._sorted = array("d")
        self._next = 0

    def __len__(self) -> int:
        return len(self._ring)

    def push(self, value: float) -> None:
        """Take in a finite value; the oldest leaves when there are more than ``size``."""
        if len(self._ring) < self._size:
            self._ring.append(value)
        else:
            del self._sorted[bisect_left(self._sorted, self._ring[self._next])]
            self._ring[self._next] = value
            self._next = (self._next + 1) % self._size
        insort(self._sorted, value)

    def clear(self) -> None:
        """Forget everything."""
        del self._ring[:]
        del self._sorted[:]
        self._next = 0

    def median(self) -> float:
        """The middle value; of an even number of values the mean of the middle two."""
        return _middle(self._sorted)

    def spread(self) -> float:
        """The median absolute deviation from the median (the lower one of an even number of deviations)."""
        values, centre = self._sorted, self.median()
        split = bisect_left(values, centre)  # below: deviations grow to the left; from here: to the right
        return _kth_deviation(values, centre, split, (len(values) - 1) // 2)


def _middle(values: array[float]) -> float:
    half = len(values) // 2
    return values[half] if len(values) % 2 else 0.5 * (values[half - 1] + values[half])


def _kth_deviation(values: array[float], centre: float, split: int, k: int) -> float:
    """The k-th smallest (from 0) of ``|value - centre|`` over sorted ``values``, by bisection.

    Of the k + 1 smallest deviations some number ``left`` lie below ``split`` and form a run that ends there. We
    look for the smallest ``left`` whose next value on the left is not nearer than the last one taken on the right.
    """
    low, high = max(0, k + 1 - (len(values) - split)), min(split, k + 1)
    while low < high:
        left = (low + high) // 2
        if centre - values[split - 1 - left] < values[split + k - left] - centre:
            low = left + 1
        else:
            high = left
    nearest_left = centre - values[split - low] if low > 0 else 0.0
    nearest_right = values[split + k - low] - centre if k + 1 > low else 0.0
    return max(nearest_left, nearest_right)
