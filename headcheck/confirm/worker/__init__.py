"""The confirm worker: builds what a script would build and runs it once, without running a line of the script.

This folder stands alone. It needs the standard library and torch (torchvision, timm, transformers, efficientnet_pytorch
or pretrainedmodels when a plan names them), runs on Python 3.9 and torch 2.0 and later, and is started by its absolute
path, isolated, in an empty folder:

    python -I worker/__main__.py DESCRIPTOR < request.json

The request is one JSON object; one JSON line per plan goes to DESCRIPTOR, after a first line that says hello. Whatever
torch prints goes to standard error. Only library builders, layers and functions on the allowlist are called, only with
plain values and tensors; weights are never loaded, sockets are refused, and nothing bigger than the memory budget is
built.
"""
