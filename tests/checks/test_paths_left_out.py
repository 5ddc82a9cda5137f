"""Losses on paths that were not followed to their end: what is wrong with one is so whatever the script does next."""

from __future__ import annotations

import pytest

from tests.reading import found

TRAINED = """
from torch.utils.data import DataLoader
from torchvision import datasets

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(WIDE)
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))ACTIVATION

model = Net()
criterion = nn.CrossEntropyLoss()
loader = DataLoader(datasets.ImageFolder("train"))

def validate():
    for images, labels in loader:
        model(images)
    return accuracy

def train(epochs, patience):
    best, lowest, waited = 0.0, 100, 0
    for epoch in range(epochs):
        total = 0.0
        for images, labels in loader:
            loss = criterion(model(images), labels)
            total += loss.item() * images.size(0)
        accuracy = validate()
        if accuracy > best - 4 and total < lowest + 5:
            if accuracy > best:
                best = accuracy
            lowest = total
            torch.save(model.state_dict(), "model.pth")
            waited = 0
        else:
            waited += 1
            if waited >= patience:
                break

train(50, 10)
"""


@pytest.mark.parametrize("activation, expected", [(".softmax(1)", ["HC107"]), ("", [])])
def test_a_loss_before_what_decides_how_long_it_goes_on(activation, expected):
    """The tests that come after the loss are no part of what it takes for it to be wrong."""
    wide = "nn.Conv2d(3, 8, 3), " + "nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), " * 8
    script = TRAINED.replace("ACTIVATION", activation).replace("WIDE", wide)
    assert [code for _, code in found(script)] == expected
