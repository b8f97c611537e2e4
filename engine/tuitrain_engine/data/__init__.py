"""Data of a run: sources, tokenizers, token shards, sequences by number.

    dataset = open_dataset(config.data, seq_len=1024, seed=1337, vocab_size=None)
    x, y = dataset.train.batch(first=0, count=8)   # sequences 0 … 7 of the run, each (8, 1024)

The order is a pure function of the seed and the sequence number, see loader.py.
"""

from tuitrain_engine.data.dataset import Dataset, open_dataset
from tuitrain_engine.data.errors import CacheError, DataError, ReadingStopped
from tuitrain_engine.data.prefetch import FiniteSplit, Prefetcher, Split
from tuitrain_engine.data.progress import report_progress_to
from tuitrain_engine.data.token_bytes import text_bytes, token_bytes
from tuitrain_engine.data.tokenizers import Tokenizer, load_tokenizer, save_tokenizer

__all__ = [
    "CacheError",
    "DataError",
    "Dataset",
    "FiniteSplit",
    "Prefetcher",
    "ReadingStopped",
    "Split",
    "Tokenizer",
    "load_tokenizer",
    "open_dataset",
    "report_progress_to",
    "save_tokenizer",
    "text_bytes",
    "token_bytes",
]
