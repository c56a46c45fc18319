"""Exact search by numpy, which FAISS is compared with."""

import numpy as np

from localrag.store.vector_index import best


class ExactIndex:
    def __init__(self, dimension):
        self._ids = np.empty(0, np.int64)
        self._rows = np.empty((0, dimension), np.float32)

    def __len__(self):
        return len(self._ids)

    def add(self, ids, vectors):
        self._ids = np.concatenate([self._ids, ids.astype(np.int64)])
        self._rows = np.concatenate([self._rows, vectors.astype(np.float32)])

    def remove(self, ids):
        keep = ~np.isin(self._ids, ids)
        self._ids, self._rows = self._ids[keep], self._rows[keep]

    def search(self, question, k, allowed=None):
        ids, rows = self._ids, self._rows
        if allowed is not None:
            keep = np.isin(ids, allowed)
            ids, rows = ids[keep], rows[keep]
        return best(ids, rows, question, k)
