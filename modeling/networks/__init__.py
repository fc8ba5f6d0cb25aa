"""The networks: backbones, heads, and how they are put together.

A head is a module with ``build(inputs: HeadInputs) -> nn.Module`` (``linear``, ``ml_gcn``, ``csra``), named by an
architecture. A backbone of one's own is a module with ``build(image_size) -> nn.Sequential`` (``basic_cnn``), named in
``backbones.OWN_BACKBONES``. docs/modeling.md shows how to add either.
"""
