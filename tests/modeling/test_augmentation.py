import numpy as np
import pytest
import torch

from modeling import torchvision_guard  # noqa: F401  (before torchvision)
from modeling.augmentation import DRAWS, ERASED, MIRRORED, MOVE_X, MOVE_Y, ZOOM, augment, change
from modeling.networks.style_network import MEAN
from modeling.training_settings import TrainingSettings

# isort: split
from torchvision.transforms.v2 import functional

NOTHING = TrainingSettings(flip=False)
EVERYTHING = TrainingSettings(flip=True, zoom=0.2, shift=0.1, color=0.3, erase=0.5)


def pictures(count: int = 8, height: int = 24, width: int = 20, low: int = 0, high: int = 256) -> torch.Tensor:
    values = np.random.default_rng(0).integers(low, high, size=(count, height, width, 3), dtype=np.uint8)
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int = 1, **at: float) -> torch.Tensor:
    """Random numbers that change nothing, except those given by the name of their column."""
    draws = torch.full((count, DRAWS), 0.5)
    columns = {"mirrored": MIRRORED, "zoom": ZOOM, "move_x": MOVE_X, "move_y": MOVE_Y, "erased": ERASED}
    for name, number in at.items():
        draws[:, columns[name]] = number
    return draws


def settings(**values: object) -> TrainingSettings:
    return NOTHING.model_copy(update=values)


def test_nothing_on_changes_nothing():
    images = pictures()
    changed = augment(images, NOTHING, generator())
    assert changed.dtype == torch.float32
    assert torch.equal(changed, images.float())


def test_flip_mirrors_about_half_of_the_images_and_each_by_itself():
    images = pictures(400, 4, 4)
    changed = augment(images, settings(flip=True), generator())
    mirrored = (changed == images.flip(-1)).flatten(1).all(dim=1)
    plain = (changed == images).flatten(1).all(dim=1)
    assert (mirrored ^ plain).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("values", [{"flip": True}, {"zoom": 0.2, "shift": 0.2}, {"color": 0.5}, {"erase": 0.9}])
def test_the_generator_decides(values: dict[str, object]):
    images, how = pictures(), settings(**values)
    assert torch.equal(augment(images, how, generator(1)), augment(images, how, generator(1)))
    assert not torch.equal(augment(images, how, generator(1)), augment(images, how, generator(2)))


def test_one_change_leaves_the_draws_of_the_others():
    """The same images are mirrored with and without colours."""
    images = pictures(64)
    plain = augment(images, settings(flip=True), generator(4))
    mirrored = (plain == images.flip(-1)).flatten(1).all(dim=1)
    both = augment(images, settings(flip=True, color=0.01), generator(4))
    nearer = (both - images.flip(-1).float()).abs().flatten(1).mean(dim=1) < 10
    assert torch.equal(nearer, mirrored)


@pytest.mark.parametrize("count", [1, 5])
def test_all_together_stay_images(count: int):
    changed = augment(pictures(count), EVERYTHING, generator())
    assert changed.shape == (count, 3, 24, 20)
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_shift_moves_by_the_drawn_share_of_the_size_and_repeats_the_edge():
    """Draw 1 is the whole share: 0.25 of 20 columns are 5 columns, of 24 rows 6 rows."""
    images = pictures(1)
    moved = change(images, drawn(move_x=1.0), settings(shift=0.25))
    assert moved[..., :15].numpy() == pytest.approx(images[..., 5:].numpy(), abs=1e-2)
    assert moved[..., 15:].numpy() == pytest.approx(images[..., 19:].expand(1, 3, 24, 5).numpy(), abs=1e-2)
    moved = change(images, drawn(move_y=0.0), settings(shift=0.25))
    assert moved[..., 6:, :].numpy() == pytest.approx(images[..., :18, :].numpy(), abs=1e-2)
    moved = change(images, drawn(move_x=1.0, mirrored=0.0), settings(shift=0.25, flip=True))
    assert moved.numpy() != pytest.approx(images.numpy(), abs=1)


def test_zoom_scales_about_the_middle():
    """A white square of a quarter of the height grows by half of itself at the full draw, and shrinks at none."""
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    images[..., 24:40, 24:40] = 255

    def width(number: float) -> float:
        row = change(images, drawn(zoom=number), settings(zoom=0.5))[0, 0, 32] / 255
        assert row.flip(0).numpy() == pytest.approx(row.numpy(), abs=1e-3)
        return float(row.sum())

    assert width(1.0) == pytest.approx(24, abs=0.1)
    assert width(0.5) == pytest.approx(16, abs=0.1)
    assert width(0.0) == pytest.approx(8, abs=0.1)


def test_mirrored_with_the_grid_is_mirrored_without():
    images = pictures(4)
    by_grid = change(images, drawn(4, mirrored=0.0), settings(flip=True, shift=0.1))
    assert by_grid.numpy() == pytest.approx(images.flip(-1).numpy(), abs=1e-2)


def test_colors_are_torchvisions_image_by_image():
    """Peer: torchvision's three adjustments in turn, on values that none of them pushes out of range."""
    images = pictures(6, low=90, high=160)
    draws = torch.rand(6, DRAWS, generator=generator(9))
    changed = change(images, draws, settings(color=0.3))
    factors = (1 + (2 * draws[:, 4:7] - 1) * 0.3).tolist()
    for image, own, (brightness, contrast, saturation) in zip(images, changed, factors, strict=True):
        peer = functional.adjust_brightness(image.float() / 255, brightness)
        peer = functional.adjust_contrast(peer, contrast)
        peer = functional.adjust_saturation(peer, saturation) * 255
        assert own.numpy() == pytest.approx(
            peer.numpy(), abs=0.1
        )  # its weights of grey have four digits, and sum to 0.9999


def test_gray_pictures_have_no_saturation_to_change():
    images = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    changed = augment(images, settings(color=0.5), generator())
    spread = changed.flatten(1).max(dim=1).values - changed.flatten(1).min(dim=1).values
    assert spread.max() < 1e-3  # brightness is all that is left of the three
    assert changed[:, 0, 0, 0].diff().abs().min() > 1


def test_erasing_fills_one_rectangle_of_the_wanted_area_with_the_mean_color():
    images = torch.full((500, 3, 60, 40), 7, dtype=torch.uint8)
    changed = augment(images, settings(erase=0.4), generator())
    gone = (changed != 7).all(dim=1)
    assert torch.equal(gone, (changed != 7).any(dim=1))
    hit = gone.flatten(1).any(dim=1)
    assert 160 < hit.sum() < 240
    assert changed.permute(0, 2, 3, 1)[gone].unique(dim=0)[0].numpy() == pytest.approx(np.array(MEAN) * 255, abs=1e-4)
    rows, columns = gone.any(dim=2), gone.any(dim=1)
    assert torch.equal(gone, rows[:, :, None] & columns[:, None, :])  # a rectangle, or rows and columns with holes
    assert all(np.diff(np.flatnonzero(line.numpy())).max(initial=1) == 1 for line in [*rows[hit], *columns[hit]])
    area = gone.float().mean(dim=(1, 2))[hit]
    assert 0.01 < area.min() < 0.04
    assert 0.17 < area.max() < 0.22
    assert float(area.mean()) == pytest.approx(0.11, abs=0.01)  # evenly between 0.02 and 0.2
    assert gone.any(dim=0)[4:-4, 4:-4].all()  # every place is hit by some, only the corners are hard to reach
    assert rows.any(dim=0).all()
    assert columns.any(dim=0).all()


def test_no_image_is_erased_at_share_zero_and_all_at_one():
    images = torch.full((50, 3, 16, 16), 7, dtype=torch.uint8)
    assert (augment(images, settings(erase=1.0), generator()) != 7).flatten(1).any(dim=1).all()
    assert (change(images, drawn(50, erased=0.5), settings(erase=0.5)) == 7).all()


def test_images_stay_as_they_lie_in_memory():
    """Channels last, which convolutions run faster on than on a copy in another order."""
    for how in (NOTHING, settings(flip=True), EVERYTHING):
        assert augment(pictures(), how, generator()).is_contiguous(memory_format=torch.channels_last)


def test_half_precision_around_it_does_not_round_pixels():
    images = pictures()
    with torch.autocast("cpu", torch.bfloat16):
        inside = augment(images, EVERYTHING, generator())
    assert torch.equal(inside, augment(images, EVERYTHING, generator()))


def test_images_in_another_order_in_memory_come_out_the_same():
    images = pictures()
    assert torch.equal(augment(images.contiguous(), EVERYTHING, generator()), augment(images, EVERYTHING, generator()))
