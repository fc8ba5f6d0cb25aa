"""The one exception that the crawlers raise for people to read."""


class CrawlError(ValueError):
    """A crawl cannot go on as asked.

    The message is one line: it names the source, file, row or field, and says what to do.
    """
