"""One module per network: how to page through its API and what a post is; ``crawlers.registry`` lists them."""
