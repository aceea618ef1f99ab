"""HealthChain: a consortium blockchain for electronic health records."""

__version__ = "0.1.0"
