"""Fine-tune a ResNet-50 on a folder of flower pictures: frozen backbone first, then everything at a lower rate."""

import argparse
import time
from pathlib import Path

import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
CLASSES = 102


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/ and val/")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path("flowers.pt"))
    return parser.parse_args()


def make_loaders(data, batch_size, workers):
    train_transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    val_transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    train = datasets.ImageFolder(data / "train", train_transform)
    val = datasets.ImageFolder(data / "val", val_transform)
    return (
        DataLoader(train, batch_size=batch_size, shuffle=True, num_workers=workers, pin_memory=True),
        DataLoader(val, batch_size=batch_size, num_workers=workers, pin_memory=True),
    )


def make_model(device):
    model = models.resnet50(weights=models.ResNet50_Weights.IMAGENET1K_V2)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(2048, CLASSES)
    return model.to(device)


def run_epoch(model, loader, criterion, device, optimizer=None):
    model.train(optimizer is not None)
    total, correct, loss_sum = 0, 0, 0.0
    with torch.set_grad_enabled(optimizer is not None):
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            loss = criterion(logits, labels)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += labels.size(0)
            correct += (logits.argmax(dim=1) == labels).sum().item()
            loss_sum += loss.item() * labels.size(0)
    return loss_sum / total, correct / total


def main():
    args = parse_arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, val_loader = make_loaders(args.data, args.batch_size, args.workers)
    model = make_model(device)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=args.learning_rate, momentum=0.9)
    scheduler = StepLR(optimizer, step_size=5, gamma=0.1)
    best = 0.0
    for epoch in range(args.epochs):
        start = time.time()
        train_loss, train_accuracy = run_epoch(model, train_loader, criterion, device, optimizer)
        val_loss, val_accuracy = run_epoch(model, val_loader, criterion, device)
        scheduler.step()
        seconds = time.time() - start
        print(f"{epoch:3d} {train_loss:.4f} {train_accuracy:.3f} {val_loss:.4f} {val_accuracy:.3f} {seconds:.1f} s")
        if val_accuracy > best:
            best = val_accuracy
            torch.save(model.state_dict(), args.output)
    print(f"best accuracy {best:.3f}")


if __name__ == "__main__":
    main()
