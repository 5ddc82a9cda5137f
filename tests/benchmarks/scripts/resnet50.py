import torch.nn as nn
from torchvision import models

model = models.resnet50(weights="IMAGENET1K_V2")
model.fc = nn.Linear(2048, 10)
