"""Images as vectors: (height, width, channels) in row-major order, channels last.

Every bijection acts on vectors, so an image layer is given its `image_shape` and reshapes inside, which costs nothing.
"""

from typing import TypeAlias

ImageShape: TypeAlias = tuple[int, int, int]


def checked_image_shape(name: str, image_shape: tuple[int, ...]) -> ImageShape:
    """The shape as three ints. **Raises:** ValueError, naming the class, for anything but three positive numbers."""
    if len(image_shape) != 3 or any(int(s) != s or s < 1 for s in image_shape):
        raise ValueError(
            f"`{name}` needs an image shape (height, width, channels) of positive integers; got {tuple(image_shape)}."
        )
    return (int(image_shape[0]), int(image_shape[1]), int(image_shape[2]))


def size_of(image_shape: ImageShape) -> int:
    """Number of entries."""
    h, w, c = image_shape
    return h * w * c
