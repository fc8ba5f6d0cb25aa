"""The demo's world: drawn outfits, a small network that shows them, and simulated experts who label them."""
