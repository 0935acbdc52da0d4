"""The JSON that the page draws from; payload.js is its only reader."""
