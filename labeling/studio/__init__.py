"""The round trip with the experts on a live Label Studio server."""
