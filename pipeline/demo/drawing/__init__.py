"""Drawing of outfits: a small wardrobe, a figure to wear it, and places to stand in."""
