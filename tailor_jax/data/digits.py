"""The embedded set `digits`: scikit-learn's 1,797 handwritten digits, 8x8, one channel, as a TFDS builder.

    images  x in {0..16}, stored as 15 x in {0..240} (uint8; x = image / 15 is exact, nothing is lost)
    split   per class c with n_c images, in an order drawn once from default_rng(0): the first t_c are the test
            split, the rest the training split; t_c = round(360 n_c / 1797), adjusted to sum to 360

The split is stratified and depends on nothing but this file. Needs neither the network nor TensorFlow.
Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

TEST_SIZE = 360
SCALE = 15  # 0..16 becomes 0..240; 16 * 16 would not fit in a byte


def raw_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns all 1,797 images, uint8 [n, 8, 8] in 0..16, and labels, int64 [n], in scikit-learn's order."""
    from sklearn.datasets import load_digits  # takes a second to import, and only building needs it

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def split_indices(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Splits `labels`, int [n], into {'train': sorted indices, 'test': sorted indices}, stratified by class."""
    classes, counts = np.unique(labels, return_counts=True)
    exact = TEST_SIZE * counts / len(labels)
    quota = np.floor(exact).astype(int)
    # The largest remainders get the images that rounding down left over; the stable sort makes ties deterministic.
    quota[np.argsort(quota - exact, kind='stable')[: TEST_SIZE - quota.sum()]] += 1
    rng = np.random.default_rng(0)
    members = [rng.permutation(np.flatnonzero(labels == c)) for c in classes]
    return {
        'train': np.sort(np.concatenate([m[q:] for m, q in zip(members, quota)])),
        'test': np.sort(np.concatenate([m[:q] for m, q in zip(members, quota)])),
    }


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder: {'image': uint8 [8, 8, 1], 'label': 0..9}, splits train (1,437) and test (360)."""

    name = 'digits'
    VERSION = tfds.core.Version('1.0.0')

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description='Handwritten digits of scikit-learn, 8x8, values 0..16 stored times 15.',
            homepage='https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits',
            features=tfds.features.FeaturesDict(
                {
                    # features.Image would need TensorFlow to encode; bytes need nothing.
                    'image': tfds.features.Tensor(
                        shape=(8, 8, 1), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
                    ),
                    'label': tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=('image', 'label'),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        images, labels = raw_digits()
        return {
            split: self._generate_examples(images[rows], labels[rows]) for split, rows in split_indices(labels).items()
        }

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict]]:
        for i, (image, label) in enumerate(zip(images, labels)):
            yield i, {'image': image[:, :, None] * np.uint8(SCALE), 'label': int(label)}
