"""What ``benchmarks/crawl.py`` is made of: a server, the crawlers that ask it, and how they are measured."""
