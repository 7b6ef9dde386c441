"""What the exchange says of itself: counts for a scraper, lines for a log."""
