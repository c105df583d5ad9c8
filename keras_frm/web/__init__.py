"""A page that runs an exported file in the browser, and the server that gives it."""
